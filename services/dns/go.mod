module github.com/opsdeck/opsdeck/services/dns

go 1.26.0

require (
	github.com/miekg/dns v1.1.73
	github.com/opsdeck/opsdeck/pkg v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.61.0
	golang.org/x/sync v0.24.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace golang.org/x/exp => golang.org/x/exp v0.0.0-20260908205506-85c1c2202aba

replace github.com/opsdeck/opsdeck/proto => ../../proto

replace github.com/opsdeck/opsdeck/pkg => ../../pkg
