// Package fault gives errors a kind, a reason and a sentence for the person who reads them, and carries all three across
// gRPC calls.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"maps"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// domain is the ErrorInfo domain of every fault.
const domain = "opsdeck"

// chinese is the locale of the second language of faults (BCP 47).
const chinese = "zh"

// Fault is an error whose text may be shown to the caller. What caused it stays on this side: it is logged, not sent.
type Fault struct {
	Code    codes.Code        // kind, a gRPC code
	Reason  string            // UPPER_SNAKE_CASE, stable: dialects and clients decide by it
	Message string            // a sentence: what was wrong, where, what to do
	Meta    map[string]string // values a dialect may need, for instance the id that was not found
	Fields  []Field           // wrong fields of the request, for Invalid
	chinese string            // the sentence in Chinese; empty when nobody wrote one
	cause   error
}

// Field is one wrong field of a request.
type Field struct {
	Name    string // path in the request, for instance "job.src_task.chunk_size"
	Problem string // what is wrong with it, for instance "must be at least 1"
	Chinese string // the problem in Chinese; empty when nobody wrote it
}

// NotFound says that the thing named in the request does not exist, or that the caller may not know that it does.
func NotFound(reason, format string, args ...any) *Fault {
	return newFault(codes.NotFound, reason, format, args)
}

// Conflict says that the thing to be made exists already.
func Conflict(reason, format string, args ...any) *Fault {
	return newFault(codes.AlreadyExists, reason, format, args)
}

// Precondition says that the request is right but the state of the system forbids it now.
func Precondition(reason, format string, args ...any) *Fault {
	return newFault(codes.FailedPrecondition, reason, format, args)
}

// Denied says that the caller is known and may not do this.
func Denied(reason, format string, args ...any) *Fault {
	return newFault(codes.PermissionDenied, reason, format, args)
}

// Unauthenticated says that the caller is not known.
func Unauthenticated(reason, format string, args ...any) *Fault {
	return newFault(codes.Unauthenticated, reason, format, args)
}

// Unavailable says that something the request needs is out of reach; trying again later may help.
func Unavailable(reason, format string, args ...any) *Fault {
	return newFault(codes.Unavailable, reason, format, args)
}

// Exhausted says that a limit was reached.
func Exhausted(reason, format string, args ...any) *Fault {
	return newFault(codes.ResourceExhausted, reason, format, args)
}

// Invalid says that a field of the request is wrong.
func Invalid(field, format string, args ...any) *Fault {
	problem := fmt.Sprintf(format, args...)
	return InvalidFields(Field{Name: field, Problem: problem})
}

// InvalidFields says that several fields of the request are wrong.
func InvalidFields(fields ...Field) *Fault {
	f := &Fault{Code: codes.InvalidArgument, Reason: "INVALID_REQUEST", Fields: fields}
	bilingual := false
	for i, field := range fields {
		if i > 0 {
			f.Message += "; "
			f.chinese += "；"
		}
		f.Message += field.Name + ": " + field.Problem
		f.chinese += field.Name + "：" + cmp.Or(field.Chinese, field.Problem)
		bilingual = bilingual || field.Chinese != ""
	}
	if !bilingual {
		f.chinese = ""
	}
	return f
}

func newFault(code codes.Code, reason, format string, args []any) *Fault {
	return &Fault{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Wrap remembers what caused the fault, for errors.Is and the log.
func (f *Fault) Wrap(cause error) *Fault {
	wrapped := *f
	wrapped.cause = cause
	return &wrapped
}

// With adds a value for the dialect.
func (f *Fault) With(key, value string) *Fault {
	extended := *f
	extended.Meta = maps.Clone(f.Meta)
	if extended.Meta == nil {
		extended.Meta = map[string]string{}
	}
	extended.Meta[key] = value
	return &extended
}

// Chinese adds the sentence in Chinese. For a fault of Invalid it is about the field, like the English text.
func (f *Fault) Chinese(format string, args ...any) *Fault {
	text := fmt.Sprintf(format, args...)
	if len(f.Fields) == 1 {
		field := f.Fields[0]
		field.Chinese = text
		bilingual := *f
		bilingual.Fields, bilingual.chinese = []Field{field}, field.Name+"："+text
		return &bilingual
	}
	bilingual := *f
	bilingual.chinese = text
	return &bilingual
}

// InChinese returns the sentence in Chinese; empty when nobody wrote one.
func (f *Fault) InChinese() string { return f.chinese }

// Error returns the sentence and, for the log, the cause.
func (f *Fault) Error() string {
	if f.cause != nil {
		return f.Message + ": " + f.cause.Error()
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// GRPCStatus returns what the caller sees: code, sentence, ErrorInfo and, where there are any, BadRequest for wrong fields and
// LocalizedMessage for the sentence in Chinese.
func (f *Fault) GRPCStatus() *status.Status {
	st := status.New(f.Code, f.Message)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: f.Reason, Domain: domain, Metadata: f.Meta}}
	if len(f.Fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, field := range f.Fields {
			v := &errdetails.BadRequest_FieldViolation{Field: field.Name, Description: field.Problem}
			if field.Chinese != "" {
				v.LocalizedMessage = &errdetails.LocalizedMessage{Locale: chinese, Message: field.Chinese}
			}
			bad.FieldViolations = append(bad.FieldViolations, v)
		}
		details = append(details, bad)
	}
	if f.chinese != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: chinese, Message: f.chinese})
	}
	detailed, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return detailed
}

// From finds the fault in an error: one made in this process, or one that came over gRPC. It returns nil when there is none.
func From(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() == codes.OK {
		return nil
	}
	f = &Fault{Code: st.Code(), Message: st.Message(), cause: err}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason, f.Meta = d.GetReason(), d.GetMetadata()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Fields = append(f.Fields, Field{Name: v.GetField(), Problem: v.GetDescription(), Chinese: v.GetLocalizedMessage().GetMessage()})
			}
		case *errdetails.LocalizedMessage:
			if d.GetLocale() == chinese {
				f.chinese = d.GetMessage()
			}
		}
	}
	return f
}

// Is reports whether an error carries a fault with this reason.
func Is(err error, reason string) bool {
	f := From(err)
	return f != nil && f.Reason == reason
}
