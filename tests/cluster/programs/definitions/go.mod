module ambit.dev/tests/cluster/programs/definitions

go 1.26.0

// Only its files are used: the definitions of the Gateway API's kinds.
require sigs.k8s.io/gateway-api v1.6.3
