package mail

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

//go:embed text
var files embed.FS

// texts are the mails, each in Chinese and English: nobody has said which language he reads. The first line is the subject.
var texts = template.Must(template.ParseFS(files, "text/*.txt"))

// NoticeLife is how long a notice is of use.
const NoticeLife = 24 * time.Hour

// Link is the mail with a link to set a new password.
func Link(to, account, link string, life time.Duration) (Message, error) {
	return write(to, "link.txt", map[string]any{"Account": account, "Link": link, "Minutes": int(life.Minutes())})
}

// Change is something about an account that its user should hear of, in case it was not he.
type Change string

// The changes that users are told of.
const (
	PasswordChanged      Change = "password.txt"
	SecondFactorEnabled  Change = "totp_on.txt"
	SecondFactorDisabled Change = "totp_off.txt"
	RecoveryCodeUsed     Change = "recovery_code.txt"
)

// Notice is the mail about a change.
func Notice(to, account string, what Change, at time.Time, address string) (Message, error) {
	return write(to, string(what), map[string]any{
		"Account": account, "At": at.UTC().Format("2006-01-02 15:04:05 UTC"), "Address": address,
	})
}

func write(to, name string, values map[string]any) (Message, error) {
	var b strings.Builder
	if err := texts.ExecuteTemplate(&b, name, values); err != nil {
		return Message{}, fmt.Errorf("mail %s: %w", name, err)
	}
	subject, text, _ := strings.Cut(b.String(), "\n")
	return Message{To: to, Subject: subject, Text: strings.TrimLeft(text, "\n")}, nil
}
