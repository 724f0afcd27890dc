package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/secure/securetest"
	"github.com/pricelake/pricelake/internal/stream"
)

func secret(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// dialer gives up soon: who speaks TLS to a server that does not may wait for an
// answer for ever.
func dialer(t secure.TLS) *secure.Dialer {
	t.Enabled = true
	return secure.NewDialer(t, "kafka.tls", 2*time.Second)
}

// TestSecured runs every client against brokers that want TLS with a certificate
// of the client and a login, in each mechanism that the fake knows. OAUTHBEARER
// is tried on Apache Kafka, in internal/e2e.
func TestSecured(t *testing.T) {
	t.Parallel()
	a := securetest.NewAuthority(t, "ours")
	server, client := a.Issue("server", time.Now().Add(time.Hour)), a.Issue("client", time.Now().Add(time.Hour))
	for mechanism, method := range map[string]string{config.SASLPlain: "PLAIN", config.SASLScram256: "SCRAM-SHA-256", config.SASLScram512: "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}),
				kfake.EnableSASL(), kfake.Superuser(method, "lake", "s3cret"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(fake.Close)
			cfg := (&cluster{brokers: fake.ListenAddrs()}).config(t)
			cfg.Dialer = secure.NewDialer(secure.TLS{Enabled: true, CAFile: a.File, CertFile: client.CertFile, KeyFile: client.KeyFile}, "kafka.tls", 20*time.Second)
			cfg.SASL = kafka.SASL{Mechanism: mechanism, User: "lake", Secret: secret("s3cret")}
			everyClient(t, cfg)
		})
	}
}

// everyClient uses each kind of client of the package once.
func everyClient(t *testing.T, cfg kafka.Config) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	topics := []kafka.Topic{{Name: "in", Partitions: 1, ReplicationFactor: 1}, {Name: "out", Partitions: 1, ReplicationFactor: 1}}
	_, err := kafka.ApplyTopics(ctx, cfg, topics)
	must(err)
	admin, err := kafka.NewAdmin(cfg)
	must(err)
	defer admin.Close()
	_, err = admin.Brokers(ctx)
	must(err)
	_, err = kafka.ClusterID(ctx, cfg)
	must(err)
	producer, err := kafka.NewProducer(cfg)
	must(err)
	defer producer.Close()
	must(producer.Publish(ctx, stream.Record{Topic: "in", Partition: 0, Value: []byte("1")}))
	txn, err := kafka.NewTxn(cfg, "txn")
	must(err)
	defer txn.Close()
	must(txn.Publish(ctx, stream.Record{Topic: "in", Partition: 0, Value: []byte("2")}))

	var seen, owned atomic.Int32
	both := make(chan struct{})
	count := func(n int) {
		if seen.Add(int32(n)) == 2 {
			close(both)
		}
	}
	ends := make(chan error, 2)
	loops, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		ends <- kafka.Window{Config: cfg, Group: "window", Topic: "in", TransactionalID: "window-1"}.Run(loops, func(context.Context, stream.Record) (stream.Result, error) {
			count(1)
			return stream.Result{}, nil
		})
	}()
	go func() {
		ends <- kafka.Owner{Config: cfg, Group: "owner", Topic: "in"}.Run(loops, func(ctx context.Context, _ int32) error {
			owned.Store(1)
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case <-both:
	case <-ctx.Done():
		t.Fatalf("the window saw %d records", seen.Load())
	}
	for owned.Load() == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	must(errors.Join(<-ends, <-ends))
	read := 0
	log, err := kafka.NewLog(cfg)
	must(err)
	defer log.Close()
	_, err = log.ReadCommitted(ctx, stream.TopicPartition{Topic: "in"}, 0, func(stream.Record) error { read++; return nil })
	must(err)
	enough := errors.New("enough")
	err = kafka.Tail(ctx, cfg, "in", true, func(stream.Record) error { return enough })
	if read != 2 || !errors.Is(err, enough) || owned.Load() != 1 {
		t.Errorf("read %d records, tail: %v, owned %d", read, err, owned.Load())
	}
}

// TestRefusals are the ways in which brokers and a client do not recognise each
// other: each is told at once, with the key to change.
func TestRefusals(t *testing.T) {
	t.Parallel()
	a, other := securetest.NewAuthority(t, "ours"), securetest.NewAuthority(t, "other")
	server, expired := a.Issue("server", time.Now().Add(time.Hour)), a.Issue("server", time.Now().Add(-time.Hour))
	start := func(opts ...kfake.Opt) *kfake.Cluster {
		fake, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		return fake
	}
	withTLS := func(c securetest.Certificate) kfake.Opt {
		return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{c.TLS}})
	}
	login := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "lake", "s3cret")}
	plain, secured, outdated, guarded := start(), start(withTLS(server)), start(withTLS(expired)), start(append(login, withTLS(server))...)
	refusing := start(append(login, withTLS(server))...)
	refuseLogins(refusing)
	trust := dialer(secure.TLS{CAFile: a.File})
	scram := func(user, password string) kafka.SASL {
		return kafka.SASL{Mechanism: config.SASLScram512, User: user, Secret: secret(password)}
	}
	f := func(name string, brokers *kfake.Cluster, d *secure.Dialer, s kafka.SASL, kind error, want string) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			cfg := (&cluster{brokers: brokers.ListenAddrs()}).config(t)
			cfg.Logger = nil
			cfg.Dialer, cfg.SASL = d, s
			started := time.Now()
			for what, ask := range map[string]func() error{
				"describing": func() error {
					log, err := kafka.NewLog(cfg)
					if err != nil {
						return err
					}
					defer log.Close()
					_, _, err = log.Describe(t.Context(), "in")
					return err
				},
				"applying": func() error {
					_, err := kafka.ApplyTopics(t.Context(), cfg, []kafka.Topic{{Name: "in", Partitions: 1, ReplicationFactor: 1}})
					return err
				},
				"publishing": func() error {
					txn, err := kafka.NewTxn(cfg, "id")
					if err != nil {
						return err
					}
					defer txn.Close()
					return txn.Open(t.Context())
				},
			} {
				if err := ask(); !errors.Is(err, kind) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %v and %q", what, err, kind, want)
				}
			}
			if took := time.Since(started); took > 20*time.Second {
				t.Errorf("it took %v to say so", took)
			}
		})
	}
	f("a wrong password", refusing, trust, scram("lake", "guess"), secure.ErrAuthentication, "kafka.sasl.password")
	f("another mechanism", guarded, trust, kafka.SASL{Mechanism: config.SASLOAuthBearer, Secret: secret("t")}, secure.ErrAuthentication, "kafka.sasl.mechanism")
	f("an unknown authority", secured, dialer(secure.TLS{CAFile: other.File}), kafka.SASL{}, secure.ErrTLS, "kafka.tls.ca_file")
	f("another name", secured, dialer(secure.TLS{CAFile: a.File, ServerName: "kafka"}), kafka.SASL{}, secure.ErrTLS, "kafka.tls.server_name")
	f("an expired certificate", outdated, trust, kafka.SASL{}, secure.ErrTLS, "expired on")
	f("plain to TLS", secured, nil, kafka.SASL{}, secure.ErrTLS, "set kafka.tls.enabled to true")
	f("TLS to plain", plain, dialer(secure.TLS{CAFile: a.File}), kafka.SASL{}, secure.ErrTLS, "set kafka.tls.enabled to false")
	failing := errors.New("kafka.sasl.password: no such file")
	f("no secret", guarded, trust, kafka.SASL{Mechanism: config.SASLScram512, User: "lake", Secret: func() (string, error) { return "", failing }}, failing, "kafka.sasl.password")
}

// refuseLogins answers a login as Apache Kafka does; the fake hangs up.
func refuseLogins(fake *kfake.Cluster) {
	fake.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = kmsg.StringPtr("Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512")
		return resp, nil, true
	})
}

func TestSASLValidate(t *testing.T) {
	for _, s := range []kafka.SASL{{Mechanism: "kerberos", Secret: secret("")}, {Mechanism: config.SASLPlain, User: "u"}} {
		cfg := kafka.DefaultConfig()
		cfg.Brokers, cfg.SASL = []string{"127.0.0.1:1"}, s
		if err := cfg.Validate(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
