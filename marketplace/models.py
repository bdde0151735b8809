"""The tables, as SQLAlchemy sees them; `migrations/` makes them and holds the triggers that guard them.

Amounts in the ledger are atto in NUMERIC(78, 0); chain events keep their fields as JSON with integers as strings.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()
ATTO = Numeric(78, 0)

transfers = Table(
    "ledger_transfers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", Text, nullable=False, unique=True, comment="what it is for; the same key never posts twice"),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", ATTO, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
balances = Table(
    "ledger_balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("credits", ATTO, nullable=False),
    Column("debits", ATTO, nullable=False),
    comment="sums of ledger_transfers, kept by a trigger",
)
holds = Table(
    "ledger_holds",
    metadata,
    Column("job", LargeBinary, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("amount", ATTO, nullable=False),
    Column("resolution", Text, nullable=True, comment="posted or voided, set once"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ledger_holds_open", "gateway", postgresql_where="resolution IS NULL"),
)
attempts = Table(
    "attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("customer", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("slot", BigInteger, nullable=False, comment="the countersignature's; decides the epoch"),
    Column("epoch", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("ttft_ms", BigInteger, nullable=False),
    Column("itl_us", BigInteger, nullable=False),
    Column("charge", ATTO, nullable=False),
    Column("line", Text, nullable=False, comment="the attempt's canonical line, both signatures included"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("job", "attempt", name="attempts_once"),
    Index("attempts_epoch", "epoch", "job", "attempt"),
    Index("attempts_customer", "customer", "id"),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("hint", Text, nullable=False),
    Column("service_class", Text, nullable=False, server_default="standard"),
    Column("requests_per_minute", BigInteger, nullable=False, server_default="0", comment="0: not limited"),
    Column("tokens_per_minute", BigInteger, nullable=False, server_default="0", comment="0: not limited"),
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked", DateTime(timezone=True), nullable=True),
)
watermarks = Table(
    "gateway_watermarks",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("slot", BigInteger, nullable=False, comment="everything countersigned before this slot is in the database"),
    Column("seen", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
chain_blocks = Table(
    "chain_blocks",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    comment="blocks up to which events were read, newest last",
)
chain_source = Table(
    "chain_source",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1: a database has one deployment"),
    Column("deployment", Text, nullable=False, comment="chain id, genesis block and JobEscrow"),
    Column("rollbacks", Integer, nullable=False, comment="how often final blocks were taken back"),
)
chain_events = Table(
    "chain_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("block_number", BigInteger, nullable=False, index=True),
    Column("block_hash", LargeBinary, nullable=False),
    Column("tx_hash", LargeBinary, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("contract", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fields", JSONB, nullable=False),
    Column(
        "ledger_key",
        Text,
        nullable=True,
        comment="prefix of the transfers it became, if it moved money",
    ),
    UniqueConstraint("block_hash", "log_index", name="chain_events_once"),
    Index("chain_events_name", "name", "id"),
)
epoch_steps = Table(
    "epoch_steps",
    metadata,
    Column("epoch", BigInteger, primary_key=True),
    Column("step", Text, nullable=False),
    Column("gathered", Boolean, nullable=False, server_default="false", comment="no attempt may join any more"),
    Column("data", JSONB, nullable=False, server_default="{}"),
    Column("problem", Text, nullable=False, server_default="", comment="why it does not go on"),
    Column("updated", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
outbox = Table(
    "outbox",
    metadata,
    Column("sender", String(42), primary_key=True),
    Column("chain_key", Text, primary_key=True),
    Column("intent_id", Text, primary_key=True),
    Column("nonce", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("row", JSONB, nullable=False),
    Index("outbox_open", "sender", "chain_key", "nonce", postgresql_where="NOT ended"),
)
nonces = Table(
    "outbox_nonces",
    metadata,
    Column("sender", String(42), primary_key=True),
    Column("chain_key", Text, primary_key=True),
    Column("nonce", BigInteger, primary_key=True, comment="every nonce an intent ever had"),
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, comment="the order of lists"),
    Column("customer", Text, nullable=False),
    Column("purpose", Text, nullable=False, server_default=""),
    Column("filename", Text, nullable=False, server_default=""),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False, comment="unix seconds, as all times of files and batches"),
    Column("expires_at", BigInteger, nullable=True, comment="when the sweep removes it"),
    Column("complete", Boolean, nullable=False, comment="false while it is being uploaded; nobody sees it before"),
    Index("files_customer", "customer", "number"),
    Index("files_expire", "expires_at"),
)
file_chunks = Table(
    "file_chunks",
    metadata,
    Column("file", Text, ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, comment="the order of lists"),
    Column("customer", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("input_file", Text, nullable=False, comment="its lines are copied, so it may be deleted"),
    Column("status", Text, nullable=False),
    Column("model", Text, nullable=True, comment="all lines name the same; known once they are validated"),
    Column("metadata", JSONB, nullable=True),
    Column("output_seconds", Integer, nullable=True, comment="how long the results are kept, if the customer said so"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, comment="the deadline of its lines"),
    Column("in_progress_at", BigInteger, nullable=True),
    Column("finalizing_at", BigInteger, nullable=True),
    Column("completed_at", BigInteger, nullable=True),
    Column("failed_at", BigInteger, nullable=True),
    Column("expired_at", BigInteger, nullable=True),
    Column("cancelling_at", BigInteger, nullable=True),
    Column("cancelled_at", BigInteger, nullable=True),
    Column("errors", JSONB, nullable=True, comment="what was wrong with the input file, line by line"),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("completed", Integer, nullable=False, server_default="0", comment="set when it ends, counted before"),
    Column("failed", Integer, nullable=False, server_default="0", comment="set when it ends, counted before"),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_file", Text, nullable=True),
    Column("error_file", Text, nullable=True),
    Column("paused_until", BigInteger, nullable=False, server_default="0"),
    Column("paused_reason", Text, nullable=False, server_default="", comment='why no line is taken, "" if they are'),
    Index("batches_customer", "customer", "number"),
    Index("batches_open", "status", postgresql_where="status NOT IN ('completed', 'failed', 'expired', 'cancelled')"),
)
batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch", Text, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True, comment="its number in the input file, from one"),
    Column("custom_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=True, comment="the request; gone once it is answered"),
    Column("state", Text, nullable=False, comment="waiting, running, done, failed, expired or cancelled"),
    Column("holder", Text, nullable=True, comment="the worker that runs it"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False, server_default="", comment="what the last try ended with"),
    Column("job", LargeBinary, nullable=True, comment="the job that answered it"),
    Column("answer", LargeBinary, nullable=True, comment="its line of the output or error file"),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Index("batch_lines_state", "batch", "state", "line"),
    comment="lives as long as its batch runs; then the files have it",
)
