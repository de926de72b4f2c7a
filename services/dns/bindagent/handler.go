package bindagent

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/dns/internal/agentapi"
	"github.com/opsdeck/opsdeck/services/dns/internal/rndc"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// service answers requests.
type service struct {
	named *named
	cfg   Config
}

func handler(log *zap.Logger, cfg Config, n *named) http.Handler {
	s := service{named: n, cfg: cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/server", s.server)
	mux.HandleFunc("GET /v1/zones", s.zones)
	mux.HandleFunc("POST /v1/zones", s.add)
	mux.HandleFunc("GET /v1/zones/{name}", s.show)
	mux.HandleFunc("DELETE /v1/zones/{name}", s.remove)
	return logged(log, authorized(cfg, bounded(cfg.Timeout, mux)))
}

// authorized lets only those in who bring the token. Hashes are compared, so that the time tells nothing, not even the length.
func authorized(cfg Config, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(cfg.Token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !isBearer {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func bounded(timeout time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s service) server(w http.ResponseWriter, r *http.Request) {
	version, err := s.named.version(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, agentapi.Server{Version: version, DNSPort: s.cfg.DNSPort, TSIGKey: s.named.tsigKey})
}

func (s service) add(w http.ResponseWriter, r *http.Request) {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, agentapi.MaxBody))
	body.DisallowUnknownFields()
	var zone agentapi.NewZone
	if err := body.Decode(&zone); err != nil {
		tooLarge := (*http.MaxBytesError)(nil)
		if errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, "the request is too large")
			return
		}
		refuse(w, http.StatusBadRequest, "the request is not JSON with name and content")
		return
	}
	if !canonical(w, zone.Name) {
		return
	}
	if err := s.named.add(r.Context(), zone.Name, zone.Content); err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusCreated, agentapi.Zone{Name: zone.Name})
}

func (s service) show(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !canonical(w, name) {
		return
	}
	text, err := s.named.show(r.Context(), name)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, agentapi.Zone{Name: name, Configuration: text})
}

func (s service) remove(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !canonical(w, name) {
		return
	}
	if err := s.named.remove(r.Context(), name); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// zones streams the list. An error behind its beginning can only break it off.
func (s service) zones(w http.ResponseWriter, r *http.Request) {
	out := bufio.NewWriter(w)
	separator := `{"zones":[`
	err := s.named.list(r.Context(), func(zone string) error {
		text, err := json.Marshal(zone)
		if err != nil {
			return err
		}
		_, _ = out.WriteString(separator) // Flush reports it
		_, err = out.Write(text)
		separator = ","
		return err
	})
	switch {
	case err == nil:
		if separator != "," {
			_, _ = out.WriteString(separator) // Flush reports it
		}
		_, _ = out.WriteString("]}")
		_ = out.Flush() // the client is gone
	case separator == ",":
		panic(http.ErrAbortHandler)
	default:
		fail(w, err)
	}
}

// canonical refuses a name that is not a zone's canonical one. Nothing else reaches named or the disk.
func canonical(w http.ResponseWriter, name string) bool {
	zone, err := rrset.ParseZone(name)
	if err != nil || zone != name {
		refuse(w, http.StatusBadRequest, "the name is not that of a zone, in lower case, with A-labels and a final dot")
		return false
	}
	return true
}

// fail answers with what an error means to the caller.
func fail(w http.ResponseWriter, err error) {
	failure := (*rndc.Failure)(nil)
	switch {
	case errors.Is(err, errExists):
		refuse(w, http.StatusConflict, err.Error())
	case errors.Is(err, errNotFound):
		refuse(w, http.StatusNotFound, err.Error())
	case errors.Is(err, errContent), errors.As(err, &failure):
		refuse(w, http.StatusUnprocessableEntity, err.Error())
	default:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, agentapi.Refusal{Error: text})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}

// logged writes one line per request, without its body and credential.
func logged(log *zap.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin, seen := time.Now(), &status{ResponseWriter: w}
		defer func() {
			log.Info("request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", seen.code),
				zap.String("peer", r.RemoteAddr), zap.Duration("took", time.Since(begin)))
		}()
		next.ServeHTTP(seen, r)
	})
}

// status remembers what was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Write(p []byte) (int, error) {
	if s.code == 0 {
		s.code = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController and http.MaxBytesReader see the connection.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
