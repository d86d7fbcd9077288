"""The functions that run inside the server, so that a check and the writes that depend on it are one atomic step.

A name that is listed (``P``, ``D``) is also stored in a sorted set, where the server finds it by prefix. Functions that
an older parbake calls must keep working: during an upgrade, two versions use one server.
"""

VERSION = 1
_TEXT = """#!lua name=parbake
local VERSION = @VERSION@

-- keys: the index, the keys that are checked, the keys that are written
-- args: number of checks, bytes before the name in a key; of each check: 1 or 0 for present, value;
--       of each write: P or p to put, D or d to delete (a capital when the name is listed), value
local function commit(keys, args)
  local checks, cut = tonumber(args[1]), tonumber(args[2]) + 1
  local at = 3
  for i = 2, checks + 1 do
    local found = redis.call('GET', keys[i])
    if args[at] == '1' then
      if found ~= args[at + 1] then return 0 end
    elseif found then
      return 0
    end
    at = at + 2
  end
  for i = checks + 2, #keys do
    local what = args[at]
    if what == 'P' or what == 'p' then
      redis.call('SET', keys[i], args[at + 1])
    else
      redis.call('DEL', keys[i])
    end
    if what == 'P' then
      redis.call('ZADD', keys[1], 0, string.sub(keys[i], cut))
    elseif what == 'D' then
      redis.call('ZREM', keys[1], string.sub(keys[i], cut))
    end
    at = at + 2
  end
  return 1
end

-- keys: the index, the keys to delete; args: bytes before the name in a key
local function remove(keys, args)
  local cut = tonumber(args[1]) + 1
  for i = 2, #keys do
    redis.call('DEL', keys[i])
    redis.call('ZREM', keys[1], string.sub(keys[i], cut))
  end
  return #keys - 1
end

redis.register_function('parbake_commit', commit)
-- A full server must still let go of what it holds.
redis.register_function{function_name = 'parbake_remove', callback = remove, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'parbake_version', callback = function() return VERSION end, flags = {'no-writes'}
}
"""
LIBRARY = _TEXT.replace("@VERSION@", str(VERSION))
