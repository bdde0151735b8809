-- The arithmetic of a settlement a second time: docs/protocol.md, section 5, steps 1 and 3 to 5, as sets of rows, for every
-- epoch in the tables of inputs.sql at once. Written from that page and not from the Python; where the two
-- disagree, one of the three is wrong. `div` rounds towards zero, which is down: nothing here is negative.
--
-- Answers: said_customers, said_credits, said_providers, said_payees, said_totals, said_scarcity.

ANALYZE epochs, providers, windows, attempts, carries, probe_days, canary_days, days_before;

-- Step 1: which slots count, which were down ------------------------------------------------------------------------

CREATE TEMP TABLE duty AS
SELECT provider_slots.epoch, provider_slots.provider, provider_slots.slot
FROM (
    SELECT p.epoch, p.provider, p.registered_at, s.slot, e.starts_at + s.slot * e.slot_s AS begins_at
    FROM providers p
    JOIN epochs e USING (epoch)
    CROSS JOIN LATERAL generate_series(0, e.slots - 1) AS s (slot)
    WHERE (p.status = 1 AND p.stake >= p.required_stake) OR p.was_active
) provider_slots
WHERE begins_at >= registered_at
  AND NOT EXISTS (
    SELECT FROM windows w
    WHERE w.epoch = provider_slots.epoch AND w.provider = provider_slots.provider
      AND w.starts_at <= begins_at AND begins_at < w.ends_at
  );

CREATE TEMP TABLE attested AS
SELECT epoch, provider, count(*) >= quorum AS by_quorum
FROM probe_days JOIN epochs USING (epoch)
GROUP BY epoch, provider, quorum;

ANALYZE duty, attested;

CREATE TEMP TABLE majority_down AS
SELECT epoch, provider, slot
FROM duty
JOIN attested USING (epoch, provider)
JOIN probe_days USING (epoch, provider)
WHERE by_quorum
GROUP BY epoch, provider, slot
HAVING 2 * count(*) FILTER (WHERE get_bit(up, slot) = 0) > count(*);

CREATE TEMP TABLE void AS
SELECT epoch, slot
FROM (SELECT epoch, slot, count(*) AS there FROM duty GROUP BY epoch, slot) counted
JOIN (SELECT epoch, slot, count(*) AS gone FROM majority_down GROUP BY epoch, slot) down USING (epoch, slot)
WHERE 100 * gone > 30 * there;

CREATE TEMP TABLE counted_slots AS
SELECT epoch, provider, slot
FROM duty LEFT JOIN void USING (epoch, slot)
WHERE void.epoch IS NULL;

CREATE TEMP TABLE down_slots AS
SELECT epoch, provider, slot
FROM majority_down LEFT JOIN void USING (epoch, slot)
WHERE void.epoch IS NULL
  AND NOT EXISTS (
    SELECT FROM attempts a
    WHERE a.epoch = majority_down.epoch AND a.provider = majority_down.provider
      AND a.slot = majority_down.slot AND a.outcome = 0
  );

ANALYZE counted_slots, down_slots;

CREATE TEMP TABLE measured AS
WITH counted AS (
    SELECT epoch, provider, count(*) AS slots FROM counted_slots GROUP BY epoch, provider
), down AS (
    SELECT epoch, provider, count(*) AS slots FROM down_slots GROUP BY epoch, provider
), tried AS (
    SELECT epoch, provider, count(*) FILTER (WHERE outcome = 0) AS served,
        count(*) FILTER (WHERE outcome IN (0, 3, 4)) AS all_tries
    FROM attempts
    GROUP BY epoch, provider
), asked AS (
    SELECT epoch, provider, sum(asked) AS asked, sum(passed) AS passed
    FROM canary_days
    GROUP BY epoch, provider
)
SELECT epoch, provider,
    coalesce(by_quorum, false) AND coalesce(counted.slots, 0) > 0 AS is_measured,
    coalesce(counted.slots, 0)::numeric AS counted_slots, coalesce(down.slots, 0)::numeric AS down_slots,
    CASE WHEN coalesce(counted.slots, 0) = 0 THEN 1000000
        ELSE div((counted.slots - coalesce(down.slots, 0)) * 1000000::numeric, counted.slots) END AS uptime_ppm,
    CASE WHEN coalesce(all_tries, 0) = 0 THEN 1000000
        ELSE div(served * 1000000::numeric, all_tries) END AS success_ppm,
    CASE WHEN coalesce(asked, 0) = 0 THEN 1000000
        ELSE div(passed * 1000000::numeric, asked) END AS verification_ppm,
    coalesce(passed < asked, false) AS failed_a_canary
FROM providers
LEFT JOIN attested USING (epoch, provider)
LEFT JOIN counted USING (epoch, provider)
LEFT JOIN down USING (epoch, provider)
LEFT JOIN tried USING (epoch, provider)
LEFT JOIN asked USING (epoch, provider);

-- Step 3: who pays, who earns -----------------------------------------------------------------------------------------

CREATE TEMP TABLE paid AS
SELECT epoch, provider, customer, sum(charge_atto) AS atto
FROM attempts
GROUP BY epoch, provider, customer
HAVING sum(charge_atto) > 0;

CREATE TEMP TABLE said_customers AS
SELECT epoch, customer, div(sum(atto), unit_atto) AS charge, mod(sum(atto), unit_atto) AS carry_atto
FROM (SELECT epoch, customer, atto FROM carries UNION ALL SELECT epoch, customer, atto FROM paid) owed
JOIN epochs USING (epoch)
GROUP BY epoch, customer, unit_atto;

CREATE TEMP TABLE gross AS
WITH charged AS (SELECT epoch, sum(charge) AS units FROM said_customers GROUP BY epoch),
    worked AS (SELECT epoch, provider, sum(atto) AS atto FROM paid GROUP BY epoch, provider),
    worked_in_all AS (SELECT epoch, sum(atto) AS atto FROM paid GROUP BY epoch)
SELECT epoch, provider,
    CASE WHEN worked.atto IS NULL THEN 0
        ELSE div(coalesce(charged.units, 0) * worked.atto, worked_in_all.atto) END AS gross
FROM providers
LEFT JOIN worked USING (epoch, provider)
LEFT JOIN charged USING (epoch)
LEFT JOIN worked_in_all USING (epoch);

CREATE TEMP TABLE shares AS
SELECT epoch, provider, gross,
    div(gross * provider_ppm, 1000000) AS to_provider,
    div(gross * verifier_ppm, 1000000) AS to_verifiers,
    div(gross * treasury_ppm, 1000000) AS to_treasury
FROM gross JOIN epochs USING (epoch);

CREATE TEMP TABLE takings AS
WITH by_epoch AS (
    SELECT epoch, sum(to_provider) AS providers, sum(to_verifiers) AS verifiers, sum(to_treasury) AS treasury, sum(gross) AS gross
    FROM shares GROUP BY epoch
), charged AS (
    SELECT epoch, sum(charge) AS units FROM said_customers GROUP BY epoch
), at_work AS (
    SELECT epoch, count(DISTINCT verifier) AS verifiers FROM probe_days GROUP BY epoch
), split AS (
    SELECT epoch, coalesce(charged.units, 0) AS charged, coalesce(by_epoch.gross, 0) AS gross,
        coalesce(by_epoch.providers, 0) AS to_providers, coalesce(by_epoch.treasury, 0) AS treasury,
        CASE WHEN at_work.verifiers IS NULL THEN 0
            ELSE div(coalesce(by_epoch.verifiers, 0), at_work.verifiers) END AS each_verifier,
        coalesce(at_work.verifiers, 0) AS verifiers
    FROM epochs
    LEFT JOIN by_epoch USING (epoch)
    LEFT JOIN charged USING (epoch)
    LEFT JOIN at_work USING (epoch)
)
SELECT split.*, each_verifier * verifiers AS verifier_fees,
    charged - to_providers - treasury - each_verifier * verifiers AS sla_fund_in
FROM split;

CREATE TEMP TABLE said_payees AS
SELECT DISTINCT epoch, verifier, each_verifier AS amount
FROM probe_days JOIN takings USING (epoch)
WHERE each_verifier > 0;

-- Step 4: what goes back to customers ------------------------------------------------------------------------------------

-- Whose uptime a class is about: standard the provider's of the epoch, premium and critical also that of thirty epochs; for
-- critical a slot is down when it was down at all providers to which the customer paid for critical work.
CREATE TEMP TABLE sold AS
SELECT epoch, provider, customer, class, sum(charge_atto) AS atto
FROM attempts
GROUP BY epoch, provider, customer, class
HAVING sum(charge_atto) > 0;

CREATE TEMP TABLE pairs AS
SELECT epoch, customer, provider, count(*) OVER (PARTITION BY epoch, customer) AS providers
FROM (SELECT DISTINCT epoch, customer, provider FROM sold WHERE class = 3) one;

ANALYZE sold, pairs;

CREATE TEMP TABLE common AS
SELECT epoch, customer, slot
FROM pairs JOIN counted_slots USING (epoch, provider)
GROUP BY epoch, customer, slot, providers
HAVING count(*) = providers;

CREATE TEMP TABLE all_down AS
SELECT epoch, customer, slot
FROM pairs JOIN down_slots USING (epoch, provider)
GROUP BY epoch, customer, slot, providers
HAVING count(*) = providers;

ANALYZE common, all_down, measured, shares, takings;

CREATE TEMP TABLE promises AS
WITH past AS (
    SELECT epoch, who, sum(counted) AS counted, sum(down) AS down FROM days_before GROUP BY epoch, who
), today AS (
    SELECT epoch, customer AS who, coalesce(c.slots, 0)::numeric AS counted, coalesce(d.slots, 0)::numeric AS down
    FROM (SELECT DISTINCT epoch, customer FROM pairs) who
    LEFT JOIN (SELECT epoch, customer, count(*) AS slots FROM common GROUP BY epoch, customer) c USING (epoch, customer)
    LEFT JOIN (
        SELECT epoch, customer, count(*) AS slots FROM all_down JOIN common USING (epoch, customer, slot)
        GROUP BY epoch, customer
    ) d USING (epoch, customer)
    UNION ALL
    SELECT epoch, provider, counted_slots, down_slots FROM measured WHERE is_measured
), uptimes AS (
    SELECT epoch, who,
        CASE WHEN today.counted = 0 THEN 1000000
            ELSE div((today.counted - today.down) * 1000000, today.counted) END AS of_epoch,
        CASE WHEN today.counted + coalesce(past.counted, 0) = 0 THEN 1000000
            ELSE div((today.counted + coalesce(past.counted, 0) - today.down - coalesce(past.down, 0)) * 1000000,
                today.counted + coalesce(past.counted, 0)) END AS of_month
    FROM today LEFT JOIN past USING (epoch, who)
)
SELECT epoch, provider, customer, class, atto,
    CASE class WHEN 0 THEN of_epoch ELSE least(of_epoch, of_month) END AS worse,
    CASE class WHEN 0 THEN 995000 WHEN 2 THEN 999000 WHEN 3 THEN 999900 ELSE 0 END AS target
FROM sold JOIN uptimes USING (epoch)
WHERE who = CASE class WHEN 3 THEN customer ELSE provider END;

ANALYZE promises;

CREATE TEMP TABLE credits AS
WITH due AS (
    SELECT epoch, provider, customer, to_provider,
        div(sum(atto * CASE WHEN worse >= target THEN 0 WHEN worse >= 990000 THEN 100000
            WHEN worse >= 950000 THEN 250000 WHEN worse >= 900000 THEN 500000 ELSE 1000000 END),
            1000000 * unit_atto) AS units
    FROM promises
    JOIN measured USING (epoch, provider)
    JOIN shares USING (epoch, provider)
    JOIN epochs USING (epoch)
    WHERE is_measured
    GROUP BY epoch, provider, customer, to_provider, unit_atto
), summed AS (
    SELECT due.*,
        sum(units) OVER (PARTITION BY epoch, provider) AS all_units,
        sum(units) OVER (PARTITION BY epoch, provider ORDER BY customer) AS so_far
    FROM due
    WHERE units > 0
), borne AS (
    SELECT epoch, provider, customer, units,
        div(so_far * least(all_units, to_provider), all_units)
            - div((so_far - units) * least(all_units, to_provider), all_units) AS from_fees
    FROM summed
)
SELECT epoch, provider, customer, from_fees,
    CASE WHEN sum(units - from_fees) OVER (PARTITION BY epoch) <= sla_fund + sla_fund_in THEN units - from_fees
        ELSE div((units - from_fees) * (sla_fund + sla_fund_in), sum(units - from_fees) OVER (PARTITION BY epoch)) END
        AS from_fund
FROM borne
JOIN takings USING (epoch)
JOIN epochs USING (epoch);

CREATE TEMP TABLE said_credits AS
SELECT epoch, customer, provider, from_fees + from_fund AS amount
FROM credits
WHERE from_fees + from_fund > 0;

-- Step 5: incentives, and what delegators get of them ---------------------------------------------------------------------

CREATE TEMP TABLE incentives AS
WITH budgets AS (
    SELECT epoch,
        div(least(incentive_per_epoch, incentive_fund) * 40, 100) AS for_availability,
        least(
            least(incentive_per_epoch, incentive_fund) - div(least(incentive_per_epoch, incentive_fund) * 40, 100),
            div((charged - to_providers) * 80, 100)
        ) AS for_work,
        gross AS gross_in_all
    FROM epochs JOIN takings USING (epoch)
), weighed AS (
    SELECT epoch, provider, div(div(coalesce(scarcity_before.ppm, 1000000) * capacity_weight * CASE
        WHEN NOT is_measured OR failed_a_canary OR uptime_ppm < 300000 THEN 0
        WHEN uptime_ppm < 850000 THEN div((uptime_ppm - 300000) * 500000, 550000)
        WHEN uptime_ppm < 950000 THEN 500000 + div((uptime_ppm - 850000) * 300000, 100000)
        WHEN uptime_ppm < 980000 THEN 800000 + div((uptime_ppm - 950000) * 200000, 30000)
        WHEN uptime_ppm < 995000 THEN 1000000 + div((uptime_ppm - 980000) * 100000, 15000)
        ELSE 1100000 END, 1000000) * (1000000 + div(100000 * least(clean_epochs, 90), 90)), 1000000) AS weight
    FROM measured JOIN providers USING (epoch, provider) LEFT JOIN scarcity_before USING (epoch, hardware_class)
), weighed_in_all AS (
    SELECT epoch, sum(weight) AS weight FROM weighed GROUP BY epoch
), backed AS (
    SELECT epoch, provider, least(delegated, 16 * stake) AS counted,
        div((stake + least(delegated, 16 * stake)) * stake_rate, 10 * stake_unit) AS most
    FROM providers JOIN epochs USING (epoch)
), earned AS (
    SELECT epoch, provider, counted, most,
        CASE WHEN weighed.weight = 0 THEN 0
            ELSE div(for_availability * weighed.weight, weighed_in_all.weight) END AS availability,
        CASE WHEN gross = 0 THEN 0 ELSE least(div(for_work * gross, gross_in_all), most) END AS work,
        gross > 0 AND div(for_work * gross, greatest(gross_in_all, 1)) > most AS capped
    FROM weighed
    JOIN weighed_in_all USING (epoch)
    JOIN backed USING (epoch, provider)
    JOIN shares USING (epoch, provider)
    JOIN budgets USING (epoch)
)
SELECT epoch, provider, availability, work, capped,
    CASE WHEN stake + counted = 0 THEN 0
        ELSE div((availability + work) * counted * (1000000 - commission_ppm), (stake + counted) * 1000000) END AS pool
FROM earned JOIN providers USING (epoch, provider);

CREATE TEMP TABLE said_scarcity AS
WITH busy AS (
    SELECT epoch, provider, count(DISTINCT a.slot) AS slots
    FROM attempts a JOIN counted_slots USING (epoch, provider, slot)
    WHERE outcome = 0
    GROUP BY epoch, provider
), used AS (
    SELECT epoch, hardware_class,
        div(sum(capacity_weight * coalesce(busy.slots, 0)) * 1000000, sum(capacity_weight * counted_slots)) AS used_ppm
    FROM measured JOIN providers USING (epoch, provider) LEFT JOIN busy USING (epoch, provider)
    WHERE is_measured
    GROUP BY epoch, hardware_class
    HAVING sum(capacity_weight * counted_slots) > 0
)
SELECT epoch, hardware_class,
    CASE WHEN used_ppm IS NULL THEN ppm ELSE
        least(greatest(500000 + div(used_ppm * 3, 2), coalesce(ppm, 1000000) - div(coalesce(ppm, 1000000), 10)),
            coalesce(ppm, 1000000) + div(coalesce(ppm, 1000000), 10)) END AS ppm
FROM used FULL JOIN scarcity_before USING (epoch, hardware_class);

-- What it comes to -----------------------------------------------------------------------------------------------------

CREATE TEMP TABLE said_providers AS
WITH credited AS (SELECT epoch, provider, sum(from_fees) AS units FROM credits GROUP BY epoch, provider)
SELECT epoch, provider, is_measured, uptime_ppm, success_ppm, verification_ppm,
    gross, to_provider, coalesce(credited.units, 0) AS credited, availability, work, pool,
    fees_before + to_provider - coalesce(credited.units, 0) AS cumulative_fees,
    incentive_before + availability + work - pool AS cumulative_incentive
FROM providers
JOIN measured USING (epoch, provider)
JOIN shares USING (epoch, provider)
JOIN incentives USING (epoch, provider)
LEFT JOIN credited USING (epoch, provider);

CREATE TEMP TABLE said_totals AS
WITH back AS (
    SELECT epoch, sum(from_fees) AS from_fees, sum(from_fund) AS from_fund FROM credits GROUP BY epoch
), earned AS (
    SELECT epoch, sum(availability + work - pool) AS incentive, sum(pool) AS pools FROM incentives GROUP BY epoch
)
SELECT epoch, charged, to_providers - coalesce(from_fees, 0) AS provider_fees, verifier_fees, treasury, sla_fund_in,
    coalesce(from_fees, 0) + coalesce(from_fund, 0) AS credits, coalesce(from_fund, 0) AS credits_from_fund,
    coalesce(incentive, 0) AS incentive, coalesce(pools, 0) AS pools,
    sla_fund + sla_fund_in - coalesce(from_fund, 0) AS sla_fund_after
FROM takings
JOIN epochs USING (epoch)
LEFT JOIN back USING (epoch)
LEFT JOIN earned USING (epoch);
