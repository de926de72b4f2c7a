module github.com/opsdeck/opsdeck/gateway

go 1.26.0

replace golang.org/x/exp => golang.org/x/exp v0.0.0-20260908205506-85c1c2202aba

replace github.com/opsdeck/opsdeck/proto => ../proto

replace github.com/opsdeck/opsdeck/pkg => ../pkg
