/** Sets a node's text, unless it has it: what does not change is not laid out again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
