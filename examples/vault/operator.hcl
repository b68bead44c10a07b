# What the operator may do: look at the key, rotate it, disable old versions, and try it out. It never unwraps what is
# stored: it has no access to the storage.
path "transit/keys/photos" {
  capabilities = ["read"]
}
path "transit/keys/photos/rotate" {
  capabilities = ["update"]
}
path "transit/keys/photos/config" {
  capabilities = ["update"]
}
path "transit/encrypt/photos" {
  capabilities = ["update"]
}
path "transit/decrypt/photos" {
  capabilities = ["update"]
}
