package dialect

import (
	"golang.org/x/text/language"
	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Language is what a caller reads errors in. English is the one that every fault has.
type Language uint8

// The languages of errors.
const (
	English Language = iota
	Chinese
)

// Tag returns the language as in Content-Language.
func (l Language) Tag() string {
	if l == Chinese {
		return "zh"
	}
	return "en"
}

var languages = language.NewMatcher([]language.Tag{language.English, language.Chinese})

// LanguageOf returns the language that suits an Accept-Language header best (RFC 9110 12.5.4); English when neither does.
func LanguageOf(accept string) Language {
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return English
	}
	_, index, confidence := languages.Match(tags...)
	if index == 1 && confidence > language.No {
		return Chinese
	}
	return English
}

// text returns what a fault says. Where nobody wrote its sentence in Chinese, a general one stands in; one that only names the
// kind of the fault is followed by the sentence in English, which has the particulars.
func (l Language) text(f *fault.Fault) string {
	if l == English {
		return f.Message
	}
	if text := f.InChinese(); text != "" {
		return text
	}
	if text, ok := chineseOfReason[f.Reason]; ok {
		return text
	}
	if text, ok := chineseOfCode[f.Code]; ok {
		return text + "：" + f.Message
	}
	return f.Message
}

// chineseOfReason has the faults that need no particulars.
var chineseOfReason = map[string]string{ //nolint:gosec // sentences about tokens, not tokens
	"UNAUTHENTICATED":     "没有权限：请先登录",
	"TOKEN_EXPIRED":       "令牌已过期：请重新登录",
	"TOKEN_INVALID":       "令牌无效：请登录",
	"SESSION_ENDED":       "会话已结束：请重新登录",
	"KEYS_UNREACHABLE":    "暂时无法校验令牌：请稍后再试",
	"SERVICE_UNREACHABLE": "暂时无法访问该调用背后的服务：请稍后再试",
	"DEADLINE_EXCEEDED":   "调用超时",
	Overloaded:            "同时进行的调用过多：请稍后再试",
}

// chineseOfCode has the kinds of faults.
var chineseOfCode = map[codes.Code]string{
	codes.InvalidArgument:    "请求有误",
	codes.Unauthenticated:    "未登录",
	codes.PermissionDenied:   "没有权限",
	codes.NotFound:           "找不到",
	codes.AlreadyExists:      "已存在",
	codes.FailedPrecondition: "当前状态不允许",
	codes.Aborted:            "与其他修改冲突",
	codes.ResourceExhausted:  "超出限制",
	codes.Unavailable:        "暂时不可用",
	codes.Unimplemented:      "不支持",
	codes.Internal:           "内部错误",
}
