-- For scripts that do by other commands what a client has asked for: tells of the event that the command of the client has.
-- See ScriptEvents of package appliers/redis, which fills the first line in where notifications are on.
local events = {}
local function tell(class, event)
  if not events[class] then return end
  if events.keys then redis.call('PUBLISH', events.keys .. KEYS[1], event) end
  if events.events then redis.call('PUBLISH', events.events .. event, KEYS[1]) end
end
