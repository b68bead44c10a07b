-- How Argo CD shows a KmsProvider, an EncryptedBucket or an EncryptedStore. The same script serves all three kinds.
--   Healthy      it is Ready, for the spec as it is now
--   Progressing  Coffer brings about a change, or waits for another resource, which shows for itself what is wrong with it
--   Degraded     you made a mistake (Stalled), or there is an outage: Ready is False while nothing is being changed
--   Suspended    spec.suspend is true

-- Reasons why Ready is False that are only a wait for something else.
local waits = {
  KmsProvider = {
    SecretNotFound = true,
    SecretKeyMissing = true,
    ConfigMapNotFound = true,
    ConfigMapKeyMissing = true,
    ServiceAccountNotFound = true,
  },
  EncryptedBucket = {
    StoreNotFound = true,
    ProviderNotFound = true,
    ProviderNotReady = true,
    ConfigIncomplete = true,
    CredentialsPending = true,
    RolloutInProgress = true,
    PodsNotReady = true,
  },
  EncryptedStore = {
    VolumePending = true,
    ConfigIncomplete = true,
    RolloutInProgress = true,
  },
}

local function says(health, condition)
  return { status = health, message = condition.reason .. ": " .. condition.message }
end

if obj.status == nil or obj.status.conditions == nil then
  return { status = "Progressing", message = "Coffer has not looked at it yet" }
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" or condition.type == "Ready" then
    conditions[condition.type] = condition
  end
end

if obj.metadata.deletionTimestamp ~= nil then
  if conditions.DeletionBlocked ~= nil then
    return says("Degraded", conditions.DeletionBlocked)
  end
  return { status = "Progressing", message = "It is being deleted" }
end

-- While it is suspended, observedGeneration stays behind.
if obj.spec.suspend == true and conditions.Suspended ~= nil then
  return says("Suspended", conditions.Suspended)
end

if obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Coffer has not looked at this change yet" }
end
if conditions.Reconciling ~= nil then
  return says("Progressing", conditions.Reconciling)
end
if conditions.Stalled ~= nil then
  return says("Degraded", conditions.Stalled)
end

local ready = conditions.Ready
if ready == nil or ready.status == "Unknown" then
  return { status = "Progressing", message = "Coffer has not looked at all of it yet" }
end
if ready.status == "True" then
  return says("Healthy", ready)
end
if waits[obj.kind] ~= nil and waits[obj.kind][ready.reason] then
  return says("Progressing", ready)
end
return says("Degraded", ready)
