"""The scripts that run inside the server, so that a check and the writes that depend on it are one atomic step.

A script is called by the hash of its text. A library of functions would be shared by all stores of a server, and
whoever may load one could replace it for all of them. A name that is listed (``P``, ``D``) is also stored in a sorted
set, where the server finds it by prefix.
"""

from __future__ import annotations

from hashlib import sha1


class Script:
    """A script: its text, and the hash by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.hash = sha1(text.encode(), usedforsecurity=False).hexdigest()


# keys: the index, the keys that are checked, the keys that are written
# args: number of checks, bytes before the name in a key; of each check: 1 or 0 for present, value;
#       of each write: P or p to put, D or d to delete (a capital when the name is listed), value
COMMIT = Script("""#!lua
local checks, cut = tonumber(ARGV[1]), tonumber(ARGV[2]) + 1
local at = 3
for i = 2, checks + 1 do
  local found = redis.call('GET', KEYS[i])
  if ARGV[at] == '1' then
    if found ~= ARGV[at + 1] then return 0 end
  elseif found then
    return 0
  end
  at = at + 2
end
for i = checks + 2, #KEYS do
  local what = ARGV[at]
  if what == 'P' or what == 'p' then
    redis.call('SET', KEYS[i], ARGV[at + 1])
  else
    redis.call('DEL', KEYS[i])
  end
  if what == 'P' then
    redis.call('ZADD', KEYS[1], 0, string.sub(KEYS[i], cut))
  elseif what == 'D' then
    redis.call('ZREM', KEYS[1], string.sub(KEYS[i], cut))
  end
  at = at + 2
end
return 1
""")
# keys: the index, the keys to delete; args: bytes before the name in a key
# A full server must still let go of what it holds.
REMOVE = Script("""#!lua flags=allow-oom
local cut = tonumber(ARGV[1]) + 1
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('ZREM', KEYS[1], string.sub(KEYS[i], cut))
end
return #KEYS - 1
""")
