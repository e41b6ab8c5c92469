package redisconn

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/redis/go-redis/v9"
)

// connectOwn makes the clients of a server of ours; they connect when they are used.
func (c *Connection) connectOwn(name string, o *redis.Options, maxSessions int) *Backend {
	return c.connectWith(&Backend{Name: name, MaxSessions: maxSessions}, o, false, func(pool redis.Options, _ bool) redis.UniversalClient {
		return c.guarded(&pool)
	})
}

// connectURL makes the clients of a Redis that is not ours, or of a Cluster, or
// of what Sentinels call the master. Those of one master stay with the server
// that proves to be it; a Cluster's nodes refuse by themselves what is not theirs.
func (c *Connection) connectURL() (*Backend, error) {
	u := c.URL
	o := *u.Options
	if err := c.Access.Apply(&o, u.Cluster, c.Log); err != nil {
		return nil, err
	}
	b := &Backend{Name: u.Masked, ClientName: o.ClientName}
	nameByHello(&o)
	if u.Cluster {
		return c.connectWith(b, &o, c.Access.ReplicaReads, func(pool redis.Options, replicas bool) redis.UniversalClient {
			return redis.NewClusterClient(c.clusterOptions(&pool, replicas))
		}), nil
	}
	b.Master = endpoint.New(c.Staleness, b.ClientName, c.Log)
	make := func(pool redis.Options, _ bool) redis.UniversalClient { return b.Master.Guard(c.guarded(&pool)) }
	if u.Master != "" {
		make = func(pool redis.Options, replicas bool) redis.UniversalClient {
			name := "master " + u.Master
			if replicas { // they may be away without it, and it without them
				name = "replicas of " + u.Master
			}
			client := c.watched(c.Breakers.GuardAs(name, redis.NewFailoverClient(c.failoverOptions(&pool, replicas))))
			if replicas {
				return client
			}
			return b.Master.Guard(client)
		}
	}
	c.connectWith(b, &o, c.Access.ReplicaReads, make)
	c.Parts.Start("proof of the master", b.Master.Run)
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
func (c *Connection) connectWith(b *Backend, o *redis.Options, replicas bool, make func(pool redis.Options, replicas bool) redis.UniversalClient) *Backend {
	few := *o
	few.PoolSize, few.MaxActiveConns = costlyConns, costlyConns
	few.MinIdleConns, few.MaxIdleConns = 0, 0
	b.Client, b.Searches, b.Costly = make(*o, false), make(*o, false), make(few, false)
	c.Parts.OnStop("redis client", b.Client.Close)
	c.Parts.OnStop("redis client for searches", b.Searches.Close)
	c.Parts.OnStop("redis client for costly searches", b.Costly.Close)
	if replicas {
		b.Replicas = make(few, true)
		c.Parts.OnStop("redis client for replicas", b.Replicas.Close)
	}
	return b
}

// clusterOptions are those of a Cluster, whose nodes' clients are as o says.
func (c *Connection) clusterOptions(o *redis.Options, replicas bool) *redis.ClusterOptions {
	cluster := severalOptions(c.URL, o, replicas).Cluster()
	cluster.NewClient = c.guarded
	cluster.ClusterStateReloadInterval = clusterReload
	return cluster
}

// failoverOptions are those of a master that Sentinels name, or of its replicas.
func (c *Connection) failoverOptions(o *redis.Options, replicas bool) *redis.FailoverOptions {
	several := severalOptions(c.URL, o, replicas)
	several.DB, several.MasterName = o.DB, c.URL.Master
	several.SentinelUsername, several.SentinelPassword = c.Access.SentinelUsername, c.Access.SentinelPassword
	return several.Failover()
}

// severalOptions are those of a client of several servers, each as o says.
func severalOptions(u *URL, o *redis.Options, replicas bool) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                      u.Hosts,
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
func (c *Connection) guarded(o *redis.Options) *redis.Client {
	return c.watched(c.Breakers.Guard(redis.NewClient(o)))
}

func (c *Connection) watched(client *redis.Client) *redis.Client {
	if c.Watch == nil {
		return client
	}
	return c.Watch(client)
}
