package main

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connect makes the clients of one server; they connect when they are used.
func (s *sidecar) connect(name string, o *redis.Options, maxSessions int) *backend {
	return s.connectWith(name, maxSessions, false, func(pool redis.Options, _ bool) redis.UniversalClient {
		return s.guarded(&pool)
	}, o)
}

// connectURL makes the clients of a Redis that is not ours, or of a Cluster, or
// of what Sentinels call the master.
func (s *sidecar) connectURL(u *redisURL) (*backend, error) {
	o := *u.options
	tlsConfig, err := s.c.redis.apply(&o, u.cluster, s.log)
	if err != nil {
		return nil, err
	}
	client := func(pool redis.Options, _ bool) redis.UniversalClient { return s.guarded(&pool) }
	switch {
	case u.cluster:
		client = func(pool redis.Options, replicas bool) redis.UniversalClient {
			return redis.NewClusterClient(s.clusterOptions(u, &pool, replicas))
		}
	case u.master != "":
		password, err := s.c.redis.sentinelPassword()
		if err != nil {
			return nil, err
		}
		client = func(pool redis.Options, replicas bool) redis.UniversalClient {
			f := failoverOptions(u, &pool, replicas)
			f.SentinelUsername, f.SentinelPassword = s.c.redis.sentinelUsername, password
			return s.breakers.Guard(redis.NewFailoverClient(f))
		}
	}
	b := s.connectWith(u.masked, 0, s.c.redis.replicaReads, client, &o)
	b.tls = tlsConfig
	return b, nil
}

// connectWith makes the clients by client, which gets the bounds of their pools.
func (s *sidecar) connectWith(name string, maxSessions int, replicas bool, client func(pool redis.Options, replicas bool) redis.UniversalClient, o *redis.Options) *backend {
	few := *o
	few.PoolSize, few.MaxActiveConns = costlyConns, costlyConns
	few.MinIdleConns, few.MaxIdleConns, few.PipelinePoolSize = 0, 0, -1
	b := &backend{name: name, client: client(*o, false), searches: client(*o, false), costly: client(few, false), maxSessions: maxSessions, options: o}
	if one, ok := b.client.(*redis.Client); ok {
		b.options = one.Options()
	}
	s.parts.onStop("redis client", b.client.Close)
	s.parts.onStop("redis client for searches", b.searches.Close)
	s.parts.onStop("redis client for costly searches", b.costly.Close)
	if replicas {
		b.replicas = client(few, true)
		s.parts.onStop("redis client for replicas", b.replicas.Close)
	}
	return b
}

// places are the addresses of the URL, for the doctor.
func (b *backend) places(u *redisURL) []doctor.Place {
	if len(u.hosts) == 0 {
		return []doctor.Place{{Network: b.options.Network, Addr: b.options.Addr, TLS: b.tls}}
	}
	places := make([]doctor.Place, len(u.hosts))
	for i, host := range u.hosts {
		places[i] = doctor.Place{Network: "tcp", Addr: host, TLS: b.tls, Sentinel: u.master}
	}
	return places
}

// login returns how to get in now, with the password itself, for the doctor.
func (b *backend) login(ctx context.Context) (*redis.Options, error) {
	o := *b.options
	if o.CredentialsProviderContext == nil {
		return &o, nil
	}
	var err error
	o.Username, o.Password, err = o.CredentialsProviderContext(ctx)
	o.CredentialsProviderContext = nil
	return &o, err
}

// clusterOptions are those of a Cluster, whose nodes' clients are as o says.
func (s *sidecar) clusterOptions(u *redisURL, o *redis.Options, replicas bool) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs:                      u.hosts,
		NewClient:                  s.guarded,
		ReadOnly:                   replicas,
		ClusterStateReloadInterval: clusterReload,
		ClientName:                 o.ClientName,
		DisableIdentity:            o.DisableIdentity,
		Dialer:                     o.Dialer,
		CredentialsProviderContext: o.CredentialsProviderContext,
		Username:                   o.Username,
		Password:                   o.Password,
		Protocol:                   o.Protocol,
		MaxRetries:                 o.MaxRetries,
		DialTimeout:                o.DialTimeout,
		DialerRetries:              o.DialerRetries,
		ReadTimeout:                o.ReadTimeout,
		WriteTimeout:               o.WriteTimeout,
		ContextTimeoutEnabled:      o.ContextTimeoutEnabled,
		PoolFIFO:                   o.PoolFIFO,
		PoolSize:                   o.PoolSize,
		PoolTimeout:                o.PoolTimeout,
		MinIdleConns:               o.MinIdleConns,
		MaxIdleConns:               o.MaxIdleConns,
		MaxActiveConns:             o.MaxActiveConns,
		ConnMaxIdleTime:            o.ConnMaxIdleTime,
		ConnMaxLifetime:            o.ConnMaxLifetime,
		PipelinePoolSize:           o.PipelinePoolSize,
		MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// failoverOptions are those of a master that Sentinels name, or of its replicas.
func failoverOptions(u *redisURL, o *redis.Options, replicas bool) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName:                 u.master,
		SentinelAddrs:              u.hosts,
		ReplicaOnly:                replicas,
		DB:                         o.DB,
		ClientName:                 o.ClientName,
		DisableIdentity:            o.DisableIdentity,
		Dialer:                     o.Dialer,
		CredentialsProviderContext: o.CredentialsProviderContext,
		Username:                   o.Username,
		Password:                   o.Password,
		Protocol:                   o.Protocol,
		MaxRetries:                 o.MaxRetries,
		DialTimeout:                o.DialTimeout,
		DialerRetries:              o.DialerRetries,
		ReadTimeout:                o.ReadTimeout,
		WriteTimeout:               o.WriteTimeout,
		ContextTimeoutEnabled:      o.ContextTimeoutEnabled,
		PoolFIFO:                   o.PoolFIFO,
		PoolSize:                   o.PoolSize,
		PoolTimeout:                o.PoolTimeout,
		MinIdleConns:               o.MinIdleConns,
		MaxIdleConns:               o.MaxIdleConns,
		MaxActiveConns:             o.MaxActiveConns,
		ConnMaxIdleTime:            o.ConnMaxIdleTime,
		ConnMaxLifetime:            o.ConnMaxLifetime,
		PipelinePoolSize:           o.PipelinePoolSize,
	}
}
