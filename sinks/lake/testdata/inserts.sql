INSERT INTO prices (`event_id`, `revision`, `withdrawn`, `provider`, `call_id`, `call_version`, `instrument`, `base`, `quote`, `kind`, `rate_type`, `session`, `price`, `bid`, `ask`, `size`, `event_time`, `event_time_kind`, `value_date`, `published_at`, `requested_at`, `fetched_at`, `trade_id`, `quality`, `poll_id`, `response_id`, `correlation_id`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO prices_rejected (`reject_id`, `reason`, `detail`, `provider`, `call_id`, `call_version`, `instrument`, `symbol`, `fragment`, `fetched_at`, `poll_id`, `response_id`, `correlation_id`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO polls (`poll_id`, `correlation_id`, `call_id`, `call_version`, `provider`, `account`, `origin`, `slot`, `requested_at`, `started_at`, `finished_at`, `outcome`, `error`, `requested`, `valued`, `absent`, `failed`, `unlisted`, `attempts.number`, `attempts.started_at`, `attempts.duration_micros`, `attempts.status`, `attempts.outcome`, `attempts.error`, `attempts.response_id`, `attempts.waited_micros`, `symbols.symbol`, `symbols.instrument`, `symbols.outcome`, `symbols.reason`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO responses (`response_id`, `poll_id`, `correlation_id`, `call_id`, `call_version`, `provider`, `attempt`, `slot`, `requested_at`, `fetched_at`, `method`, `url`, `status`, `headers`, `body`, `body_bytes`, `retention_days`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO dead_letters (`dead_letter_id`, `origin_topic`, `origin_topic_id`, `origin_partition`, `origin_offset`, `origin_timestamp`, `role`, `reason`, `error`, `attempts`, `call_id`, `correlation_id`, `failed_at`, `key`, `value`, `headers`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO instruments_history (`instrument`, `removed`, `asset_class`, `base`, `quote`, `unit`, `minor_unit_factor`, `calendar`, `description`, `defined_at`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

INSERT INTO calls_history (`call_id`, `removed`, `version`, `provider`, `account`, `enabled`, `method`, `url`, `headers`, `query`, `body`, `timeout_micros`, `max_body_bytes`, `max_attempts`, `backoff_micros`, `max_backoff_micros`, `every_micros`, `phase_micros`, `cron`, `zone`, `catchup`, `mapping`, `symbols.symbol`, `symbols.aliases`, `symbols.instrument`, `symbols.base`, `symbols.quote`, `symbols.factor`, `symbols.valid_from`, `symbols.valid_to`, `retention_days`, `terms_url`, `attribution`, `redistribution`, `defined_at`, `recorded_at`, `inserted_at`, `_topic_id`, `_partition`, `_offset`, `_lake_epoch`);

