# What the data plane may do: wrap and unwrap with one key. Without "create", so that it can never make a key.
path "transit/encrypt/photos" {
  capabilities = ["update"]
}
path "transit/decrypt/photos" {
  capabilities = ["update"]
}
path "transit/rewrap/photos" {
  capabilities = ["update"]
}
