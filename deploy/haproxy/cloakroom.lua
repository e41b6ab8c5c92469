-- The action lua.cloakroom: asks Cloakroom whether a request's session is good. It sets txn.cloakroom.status, 200 or the status of
-- the refusal, and with 200 the identity headers. Without an answer the variable stays unset, and the configuration refuses.

local dst = "abns@cloakroom"
local handed = { "authorization", "cookie", "x-session-token", "x-forwarded-for" } -- the last is ours
local identity = {
	"x-session-id", "x-session-user", "x-session-login", "x-session-org", "x-session-factors", "x-session-auth-time",
	"x-session-expires", "x-session-stale", "x-session-assertion",
}
local claim = "^x%-session%-claim%-" -- what the names of headers of --verify-claims begin with

-- values returns the values of a header as a list from 1, however HAProxy counts them.
local function values(headers, name)
	local list = {}
	local of = headers[name]
	if of then
		local i = of[0] and 0 or 1
		while of[i] do
			list[#list + 1] = of[i]
			i = i + 1
		end
	end
	return list
end

core.register_action("cloakroom", { "http-req" }, function(txn)
	local asked = txn.http:req_get_headers()
	local headers = { host = { "cloakroom" } }
	for _, name in ipairs(handed) do
		local list = values(asked, name) -- all of them, so that Cloakroom sees what the application would
		if #list > 0 then
			headers[name] = list
		end
	end
	local path = txn:get_var("txn.verify") or "/verify" -- a policy's, if the configuration sets one
	local answer = core.httpclient():head { url = "http://cloakroom" .. path, dst = dst, headers = headers, timeout = 300 }
	if not answer or not answer.status then
		return
	end
	if answer.status == 200 then
		local names = { table.unpack(identity) }
		for name in pairs(answer.headers) do
			if name:find(claim) then
				names[#names + 1] = name
			end
		end
		for _, name in ipairs(names) do
			txn.http:req_del_header(name)
			local list = values(answer.headers, name)
			if list[1] and list[1] ~= "" then
				txn.http:req_set_header(name, list[1])
			end
		end
	elseif answer.status == 401 then
		txn:set_var("txn.cloakroom.challenge", values(answer.headers, "www-authenticate")[1] or "Bearer")
	end
	txn:set_var("txn.cloakroom.status", answer.status)
end)
