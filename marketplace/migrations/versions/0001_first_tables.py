"""First tables, and the triggers that keep the ledger append-only and its balances true."""

from __future__ import annotations

from alembic import op

from marketplace.models import metadata

revision = "0001"
down_revision = None

_GUARDS = """
ALTER TABLE ledger_transfers ADD CONSTRAINT ledger_amount_positive CHECK (amount > 0);
ALTER TABLE ledger_transfers ADD CONSTRAINT ledger_two_accounts CHECK (debit <> credit);

CREATE FUNCTION ledger_keep_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ledger_balances AS kept (account, credits, debits)
    SELECT account, sum(credit), sum(debit) FROM (
      SELECT credit AS account, amount AS credit, 0 AS debit FROM posted
      UNION ALL SELECT debit, 0, amount FROM posted) AS both_sides
    GROUP BY account ORDER BY account
    ON CONFLICT (account) DO UPDATE
      SET credits = kept.credits + EXCLUDED.credits, debits = kept.debits + EXCLUDED.debits;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_balances_follow AFTER INSERT ON ledger_transfers
  REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION ledger_keep_balances();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: correct it with a new row', TG_TABLE_NAME;
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER attempts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attempts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION ledger_resolve_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.resolution IS NOT NULL THEN
    RAISE EXCEPTION 'hold % is % already', encode(OLD.job, 'hex'), OLD.resolution;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_holds_once BEFORE UPDATE ON ledger_holds
  FOR EACH ROW EXECUTE FUNCTION ledger_resolve_once();
"""


def upgrade() -> None:
    """Create every table of the first version."""
    metadata.create_all(op.get_bind())
    op.execute(_GUARDS)


def downgrade() -> None:
    """Refuse: the ledger is never thrown away by a migration."""
    raise RuntimeError("the first tables hold the ledger: drop the database by hand if that is what you want")
