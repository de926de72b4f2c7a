package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/gateway/internal/openapi"
)

func TestDocumentIsUpToDate(t *testing.T) {
	t.Parallel()
	want, err := build("../../../../proto/gen/openapi/opsdeck.swagger.json")
	require.NoError(t, err)
	require.Equal(t, string(want), string(openapi.Document), "run: go run ./internal/openapi/gen")
}
