-- Tables in the shape of the projections that ZITADEL reads sessions from, in a schema of their own.
CREATE SCHEMA cloakroom_bench;
SET search_path = cloakroom_bench;

CREATE TABLE sessions (
	id text NOT NULL,
	creation_date timestamptz NOT NULL,
	change_date timestamptz NOT NULL,
	sequence bigint NOT NULL,
	state smallint NOT NULL,
	resource_owner text NOT NULL,
	instance_id text NOT NULL,
	creator text NOT NULL,
	user_id text,
	user_resource_owner text,
	user_checked_at timestamptz,
	password_checked_at timestamptz,
	intent_checked_at timestamptz,
	webauthn_checked_at timestamptz,
	webauthn_user_verified boolean,
	totp_checked_at timestamptz,
	otp_sms_checked_at timestamptz,
	otp_email_checked_at timestamptz,
	metadata jsonb,
	token_id text,
	user_agent_fingerprint_id text,
	user_agent_ip text,
	user_agent_description text,
	user_agent_header jsonb,
	expiration timestamptz,
	PRIMARY KEY (instance_id, id)
);

CREATE TABLE users (
	id text NOT NULL,
	creation_date timestamptz NOT NULL,
	change_date timestamptz NOT NULL,
	sequence bigint NOT NULL,
	state smallint NOT NULL,
	resource_owner text NOT NULL,
	instance_id text NOT NULL,
	username text NOT NULL,
	type smallint NOT NULL,
	PRIMARY KEY (instance_id, id)
);

CREATE TABLE humans (
	user_id text NOT NULL,
	instance_id text NOT NULL,
	first_name text NOT NULL,
	last_name text NOT NULL,
	display_name text,
	email text NOT NULL,
	PRIMARY KEY (instance_id, user_id)
);

-- Login names follow from a user's name, a domain of the organization, and a policy that says whether they have the domain.
CREATE TABLE login_users (
	id text NOT NULL,
	user_name text NOT NULL,
	resource_owner text NOT NULL,
	instance_id text NOT NULL,
	PRIMARY KEY (instance_id, id)
);

CREATE TABLE login_domains (
	name text NOT NULL,
	is_primary boolean NOT NULL,
	resource_owner text NOT NULL,
	instance_id text NOT NULL,
	PRIMARY KEY (instance_id, resource_owner, name)
);

CREATE TABLE login_policies (
	must_be_domain boolean NOT NULL,
	is_default boolean NOT NULL,
	resource_owner text NOT NULL,
	instance_id text NOT NULL,
	PRIMARY KEY (instance_id, resource_owner)
);

CREATE VIEW login_names AS
SELECT u.instance_id, u.id AS user_id, coalesce(d.is_primary, true) AS is_primary,
	CASE WHEN p.must_be_domain THEN u.user_name || '@' || d.name ELSE u.user_name END AS login_name
FROM login_users u
LEFT JOIN LATERAL (
	SELECT must_be_domain FROM login_policies
	WHERE instance_id = u.instance_id AND (is_default OR resource_owner = u.resource_owner)
	ORDER BY is_default LIMIT 1
) p ON true
LEFT JOIN login_domains d ON p.must_be_domain AND d.instance_id = u.instance_id AND d.resource_owner = u.resource_owner;

-- Which dataset is stored.
CREATE TABLE seeded (name text NOT NULL);
