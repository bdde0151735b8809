-- What settlement.sql reads: the raw inputs of many epochs side by side, told apart by `epoch`. Addresses are compared
-- byte by byte. Amounts are in token units unless the name says atto; times are unix seconds. `unit_atto`: atto in a unit of
-- the payment token; `stake_unit`: units in a whole stake token.

CREATE TEMP TABLE epochs (
    epoch integer PRIMARY KEY,
    starts_at bigint NOT NULL,
    slot_s bigint NOT NULL,
    slots integer NOT NULL,
    quorum integer NOT NULL,
    unit_atto numeric NOT NULL,
    stake_unit numeric NOT NULL,
    provider_ppm numeric NOT NULL,
    verifier_ppm numeric NOT NULL,
    treasury_ppm numeric NOT NULL,
    incentive_per_epoch numeric NOT NULL,
    incentive_fund numeric NOT NULL,
    stake_rate numeric NOT NULL,
    sla_fund numeric NOT NULL
);

-- `was_active`: active with its full stake at the checkpoint before. Status 1 is Active.
CREATE TEMP TABLE providers (
    epoch integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    status integer NOT NULL,
    was_active boolean NOT NULL,
    registered_at bigint NOT NULL,
    stake numeric NOT NULL,
    required_stake numeric NOT NULL,
    delegated numeric NOT NULL,
    commission_ppm numeric NOT NULL,
    capacity_weight numeric NOT NULL,
    hardware_class integer NOT NULL,
    clean_epochs numeric NOT NULL,
    fees_before numeric NOT NULL,
    incentive_before numeric NOT NULL,
    PRIMARY KEY (epoch, provider)
);

CREATE TEMP TABLE windows (
    epoch integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL
);

-- `slot` counts from the first of the epoch. `outcome` is the receipt's status: 0 served, 1 idle, 2 customer_abort,
-- 3 provider_error, 4 timeout. `class` is the service class: 0 standard, 1 economy, 2 premium, 3 critical.
CREATE TEMP TABLE attempts (
    epoch integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    slot integer NOT NULL,
    outcome integer NOT NULL,
    class integer NOT NULL,
    charge_atto numeric NOT NULL
);

-- What epochs before left: counted and down slots of providers, and of customers of class critical; multipliers.
CREATE TEMP TABLE days_before (
    epoch integer NOT NULL,
    who text COLLATE "C" NOT NULL,
    counted numeric NOT NULL,
    down numeric NOT NULL
);

CREATE TEMP TABLE scarcity_before (
    epoch integer NOT NULL,
    hardware_class integer NOT NULL,
    ppm numeric NOT NULL,
    PRIMARY KEY (epoch, hardware_class)
);

CREATE TEMP TABLE carries (
    epoch integer NOT NULL,
    customer text COLLATE "C" NOT NULL,
    atto numeric NOT NULL,
    PRIMARY KEY (epoch, customer)
);

-- `up`: one bit per slot, the epoch's first leftmost.
CREATE TEMP TABLE probe_days (
    epoch integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    verifier text COLLATE "C" NOT NULL,
    up bit varying NOT NULL,
    PRIMARY KEY (epoch, provider, verifier)
);

CREATE TEMP TABLE canary_days (
    epoch integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    verifier text COLLATE "C" NOT NULL,
    asked numeric NOT NULL,
    passed numeric NOT NULL,
    PRIMARY KEY (epoch, provider, verifier)
);
