// Package directory asks the owner of resources which there are, and what they are called. auth keeps grants on resources, and
// nothing else of them.
package directory

import (
	"context"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// batch is how many resources one question is about at most.
const batch = 1000

// Directory knows resources. Without a client it knows none and believes everything.
type Directory struct {
	client authv1.ResourceDirectoryServiceClient
}

// New returns a directory that asks client; nil when there is no owner to ask.
func New(client authv1.ResourceDirectoryServiceClient) Directory { return Directory{client} }

// Knows reports whether there is an owner to ask.
func (d Directory) Knows() bool { return d.client != nil }

// Names returns the names of resources by their ids. Errors: RESOURCE_NOT_FOUND for one that the caller does not reach,
// RESOURCES_UNREACHABLE.
func (d Directory) Names(ctx context.Context, kind string, ids []int64) (map[int64]string, error) {
	names := make(map[int64]string, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), batch)
		answer, err := d.client.FindResources(ctx, &authv1.FindResourcesRequest{Kind: kind, Ids: ids[:n]})
		if err != nil {
			return nil, fault.Unavailable("RESOURCES_UNREACHABLE", "whether there are these resources cannot be checked now: try again").
				Chinese("暂时无法确认这些资源是否存在，请重试").Wrap(err)
		}
		for _, found := range answer.GetResources() {
			names[found.GetId()] = found.GetName()
		}
		for _, id := range ids[:n] {
			if _, ok := names[id]; !ok {
				return nil, fault.NotFound("RESOURCE_NOT_FOUND", "there is no %s %d", kind, id).Chinese("没有 %s %d", kind, id)
			}
		}
		ids = ids[n:]
	}
	return names, nil
}
