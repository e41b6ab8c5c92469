<?php
// What the gateways protect: writes down each request as PHP shows it, as a line of JSON in the file SEEN.
file_put_contents(getenv('SEEN'), json_encode([
	'method' => $_SERVER['REQUEST_METHOD'],
	'target' => $_SERVER['REQUEST_URI'],
	'header' => (object) getallheaders(),
	'server' => (object) array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_'), ARRAY_FILTER_USE_KEY),
	'body' => strlen(file_get_contents('php://input')),
], JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR) . "\n", FILE_APPEND | LOCK_EX);
header('X-Application: here');
header('Content-Length: 6'); // else the connection ends with the answer
echo "hello\n";
