-- What a job was asked to do, so that it can be asked for again.

ALTER TABLE jobs ADD COLUMN request TEXT;            -- JSON, without secrets; none: not kept
