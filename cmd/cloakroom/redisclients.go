package main

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/redis/go-redis/v9"
)

// connectOwn makes the clients of a server of ours; they connect when they are used.
func (c *connection) connectOwn(name string, o *redis.Options, maxSessions int) *backend {
	return c.connectWith(&backend{name: name, maxSessions: maxSessions}, o, false, func(pool redis.Options, _ bool) redis.UniversalClient {
		return c.guarded(&pool)
	})
}

// connectURL makes the clients of a Redis that is not ours, or of a Cluster, or
// of what Sentinels call the master. Those of one master stay with the server
// that proves to be it; a Cluster's nodes refuse by themselves what is not theirs.
func (c *connection) connectURL() (*backend, error) {
	u := c.url
	o := *u.options
	if err := c.access.apply(&o, u.cluster, c.log); err != nil {
		return nil, err
	}
	b := &backend{name: u.masked, clientName: o.ClientName}
	nameByHello(&o)
	if u.cluster {
		return c.connectWith(b, &o, c.access.replicaReads, func(pool redis.Options, replicas bool) redis.UniversalClient {
			return redis.NewClusterClient(c.clusterOptions(&pool, replicas))
		}), nil
	}
	b.master = endpoint.New(c.staleness, b.clientName, c.log)
	make := func(pool redis.Options, _ bool) redis.UniversalClient { return b.master.Guard(c.guarded(&pool)) }
	if u.master != "" {
		make = func(pool redis.Options, replicas bool) redis.UniversalClient {
			name := "master " + u.master
			if replicas { // they may be away without it, and it without them
				name = "replicas of " + u.master
			}
			client := c.watched(c.breakers.GuardAs(name, redis.NewFailoverClient(c.failoverOptions(&pool, replicas))))
			if replicas {
				return client
			}
			return b.master.Guard(client)
		}
	}
	c.connectWith(b, &o, c.access.replicaReads, make)
	c.parts.start("proof of the master", b.master.Run)
	return b, nil
}

// nameByHello has connections be named by HELLO, which everybody may send: the
// client would send CLIENT SETNAME, and fail where that is forbidden. Where HELLO
// is not there they have no name.
func nameByHello(o *redis.Options) {
	name := o.ClientName
	o.ClientName = ""
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		err := cn.Do(ctx, "HELLO", 3, "SETNAME", name).Err()
		if _, refused := errors.AsType[redis.Error](err); refused {
			return nil
		}
		return err
	}
}

// connectWith makes the clients by make, which gets the bounds of their pools.
func (c *connection) connectWith(b *backend, o *redis.Options, replicas bool, make func(pool redis.Options, replicas bool) redis.UniversalClient) *backend {
	few := *o
	few.PoolSize, few.MaxActiveConns = costlyConns, costlyConns
	few.MinIdleConns, few.MaxIdleConns = 0, 0
	b.client, b.searches, b.costly = make(*o, false), make(*o, false), make(few, false)
	c.parts.onStop("redis client", b.client.Close)
	c.parts.onStop("redis client for searches", b.searches.Close)
	c.parts.onStop("redis client for costly searches", b.costly.Close)
	if replicas {
		b.replicas = make(few, true)
		c.parts.onStop("redis client for replicas", b.replicas.Close)
	}
	return b
}

// clusterOptions are those of a Cluster, whose nodes' clients are as o says.
func (c *connection) clusterOptions(o *redis.Options, replicas bool) *redis.ClusterOptions {
	cluster := severalOptions(c.url, o, replicas).Cluster()
	cluster.NewClient = c.guarded
	cluster.ClusterStateReloadInterval = clusterReload
	return cluster
}

// failoverOptions are those of a master that Sentinels name, or of its replicas.
func (c *connection) failoverOptions(o *redis.Options, replicas bool) *redis.FailoverOptions {
	several := severalOptions(c.url, o, replicas)
	several.DB, several.MasterName = o.DB, c.url.master
	several.SentinelUsername, several.SentinelPassword = c.access.sentinelUsername, c.access.sentinelPassword
	return several.Failover()
}

// severalOptions are those of a client of several servers, each as o says.
func severalOptions(u *redisURL, o *redis.Options, replicas bool) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                      u.hosts,
		ReadOnly:                   replicas,
		Dialer:                     o.Dialer,
		OnConnect:                  o.OnConnect,
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
		ReadBufferSize:             o.ReadBufferSize,
		WriteBufferSize:            o.WriteBufferSize,
		MaxConcurrentDials:         o.MaxConcurrentDials,
		ConnMaxLifetimeJitter:      o.ConnMaxLifetimeJitter,
		MaintNotificationsConfig:   o.MaintNotificationsConfig,
	}
}

// guarded makes a client whose server's breaker stands before all of its calls.
// For a Cluster it makes the client of each node.
func (c *connection) guarded(o *redis.Options) *redis.Client {
	return c.watched(c.breakers.Guard(redis.NewClient(o)))
}

func (c *connection) watched(client *redis.Client) *redis.Client {
	if c.watch == nil {
		return client
	}
	return c.watch(client)
}
