// An authority for tests where one has to be named and is not asked for anything.

/** A self-signed certificate that was made for these tests, and whose key nobody has. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBgzCCASmgAwIBAgIUUMTznHqJ+FAhOwb59hvcV6xtv2AwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLY29mZmVyIHRlc3QwIBcNMjYxMTI0MTc1NjA4WhgPMjEyNjEw
MzExNzU2MDhaMBYxFDASBgNVBAMMC2NvZmZlciB0ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE9Bh1srzmpXZhkeW/yJLkSZhf2XLywJDH9HprO3yYIPU8qnjv
9JRGgJc8Prs6tUSm8Hzd1fmENC1nv8grBSRYLKNTMFEwHQYDVR0OBBYEFNYlmdTX
M8QiwmQuGCuUS5Yr5QK8MB8GA1UdIwQYMBaAFNYlmdTXM8QiwmQuGCuUS5Yr5QK8
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgc5EVquiBsJmMP/Jy
tg02PUusrXE4pPHcz2GTidVANpkCIQC5yJOHAnHGwhwBzX74/6jplictTiwKoS59
1cGqcwoOqA==
-----END CERTIFICATE-----
`;
