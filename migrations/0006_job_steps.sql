-- The steps that a job went through.

ALTER TABLE jobs ADD COLUMN steps TEXT NOT NULL DEFAULT '[]';  -- JSON: [[milliseconds, percent, words], …]
