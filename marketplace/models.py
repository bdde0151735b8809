"""The tables, as SQLAlchemy sees them; `migrations/` makes them and holds the triggers that guard them.

Amounts in the ledger are atto in NUMERIC(78, 0); chain events keep their fields as JSON with integers as strings.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
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
