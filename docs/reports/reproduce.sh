#!/bin/sh
# Makes everything in this folder anew: PODS and NODES are the openb tables of Alibaba
# (openb_pod_list_default.csv and openb_node_list_all_node.csv). Some ten minutes on one idle core.
set -eu
scheduler=${SCHEDULER:-ecs-scheduler}
out=$(cd "$(dirname "$0")" && pwd)
policies=$(cd "$out/../policies" && pwd)
work=$(mktemp -d)
cd "$work"
cp "$policies/pack-cheaply.toml" .

"$scheduler" trace import --format openb --pods "$PODS" --nodes "$NODES" --fleet-of 60 \
    --out-trace openb.jsonl --out-fleet openb-fleet.jsonl

# Searched on days 122 and 123 of the trace, seeds 1 and 2; judged on days 136 and 137, seeds 3 to 5.
tune() {
    "$scheduler" tune --outline --trace openb.jsonl --fleet openb-fleet.jsonl \
        --since 122d --until 124d --hours 50 --idle-s 600 --seeds 2 --processes 1 \
        --storage sqlite:///openb.db --judge-since 136d --judge-until 138d "$@"
}
tune --trials 20 --judge-seeds 3 --out openb-hours.toml --report openb-tuning.html
tune --trials 0 --judge-seeds 1 --least cost --out openb-cost.toml
cp openb-hours.toml openb-cost.toml "$policies"
cp openb-tuning.html "$out"

# Days that no search has seen, seeds that none has used.
"$scheduler" simulate --outline --trace openb.jsonl --fleet openb-fleet.jsonl \
    --since 130d --until 132d --hours 50 --idle-s 600 --first-seed 11 --seeds 6 \
    --policy default --policy openb-hours.toml --policy openb-cost.toml \
    --policy "ecs:binpack(memory)" --policy "ecs:binpack(cpu)" --policy ecs:spread --policy ecs:random \
    --title "GPU jobs of Alibaba's openb trace, days 130 and 131, on 60 mixed instances" \
    --report openb.html --json openb.json --picture openb.svg
cp openb.html openb.json openb.svg "$out"

# The whole service, in virtual time.
"$scheduler" trace generate --arrivals bursts --per-hour 1800 --jobs 800 --instances 16 --seed 7 \
    --out-trace burst.jsonl --out-fleet burst-fleet.jsonl
"$scheduler" simulate --trace burst.jsonl --fleet burst-fleet.jsonl --idle-s 60 --seeds 3 --look-s 1 \
    --policy default --policy pack-cheaply.toml \
    --policy "ecs:binpack(memory)" --policy "ecs:binpack(cpu)" --policy ecs:spread --policy ecs:random \
    --title "800 short jobs in bursts on up to 16 instances" \
    --report burst.html --json burst.json --picture burst.svg
cp burst.html burst.json burst.svg "$out"
