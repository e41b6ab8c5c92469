package main

import "github.com/redis/go-redis/v9"

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
	if err := s.c.redis.apply(&o, u.cluster, s.log); err != nil {
		return nil, err
	}
	make := func(pool redis.Options, _ bool) redis.UniversalClient { return s.guarded(&pool) }
	switch {
	case u.cluster:
		make = func(pool redis.Options, replicas bool) redis.UniversalClient {
			return redis.NewClusterClient(s.clusterOptions(u, &pool, replicas))
		}
	case u.master != "":
		password, err := s.c.redis.sentinelPassword()
		if err != nil {
			return nil, err
		}
		make = func(pool redis.Options, replicas bool) redis.UniversalClient {
			role := "master " // the replicas may be away without it, and it without them
			if replicas {
				role = "replicas of "
			}
			return s.trips.watch(s.breakers.GuardAs(role+u.master, redis.NewFailoverClient(s.failoverOptions(u, &pool, replicas, password))))
		}
	}
	return s.connectWith(u.masked, 0, s.c.redis.replicaReads, make, &o), nil
}

// connectWith makes the clients by make, which gets the bounds of their pools.
func (s *sidecar) connectWith(name string, maxSessions int, replicas bool, make func(pool redis.Options, replicas bool) redis.UniversalClient, o *redis.Options) *backend {
	few := *o
	few.PoolSize, few.MaxActiveConns = costlyConns, costlyConns
	few.MinIdleConns, few.MaxIdleConns, few.PipelinePoolSize = 0, 0, -1
	b := &backend{name: name, client: make(*o, false), searches: make(*o, false), costly: make(few, false), maxSessions: maxSessions}
	s.parts.onStop("redis client", b.client.Close)
	s.parts.onStop("redis client for searches", b.searches.Close)
	s.parts.onStop("redis client for costly searches", b.costly.Close)
	if replicas {
		b.replicas = make(few, true)
		s.parts.onStop("redis client for replicas", b.replicas.Close)
	}
	return b
}

// clusterOptions are those of a Cluster, whose nodes' clients are as o says.
func (s *sidecar) clusterOptions(u *redisURL, o *redis.Options, replicas bool) *redis.ClusterOptions {
	c := severalOptions(u, o, replicas).Cluster()
	c.NewClient = s.guarded
	c.ClusterStateReloadInterval = clusterReload
	return c
}

// failoverOptions are those of a master that Sentinels name, or of its replicas.
func (s *sidecar) failoverOptions(u *redisURL, o *redis.Options, replicas bool, sentinelPassword string) *redis.FailoverOptions {
	several := severalOptions(u, o, replicas)
	several.DB, several.MasterName = o.DB, u.master
	several.SentinelUsername, several.SentinelPassword = s.c.redis.sentinelUsername, sentinelPassword
	return several.Failover()
}

// severalOptions are those of a client of several servers, each as o says.
func severalOptions(u *redisURL, o *redis.Options, replicas bool) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                      u.hosts,
		ReadOnly:                   replicas,
		ClientName:                 o.ClientName,
		Dialer:                     o.Dialer,
		CredentialsProviderContext: o.CredentialsProviderContext,
		Username:                   o.Username,
		Password:                   o.Password,
		Protocol:                   o.Protocol,
		DisableIdentity:            o.DisableIdentity,
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
		MaintNotificationsConfig:   o.MaintNotificationsConfig,
	}
}
