#!/usr/bin/env bash
# Two hosts with two ranks each: network namespaces with a link between them. A rank is killed, then the link is cut: all
# who are left exit non-zero in time, and say who is missing, and in which operation. Each time --resume auto goes on, and
# in the end the losses are, to the bit, those of forked ranks that nobody disturbed.
# Skipped where namespaces are not permitted.
set -eu
. tests/mesh/lib_start.sh
a=nm$$a b=nm$$b
if ! ip netns add $a 2>"$work/out"; then
    echo "skipped: no network namespaces here: $(cat "$work/out")"
    exit 0
fi
trap 'ip netns del $a; ip netns del $b 2>/dev/null; rm -rf "$work"' EXIT
ip netns add $b
ip link add $a netns $a type veth peer name $b netns $b
ip -n $a address add 10.77.0.1/24 dev $a
ip -n $b address add 10.77.0.2/24 dev $b
for host in $a $b; do ip -n $host link set lo up && ip -n $host link set $host up; done

build_model llama3 t
flags+=(--steps 60 --save-every 5 --comm-timeout 3)

start() { # start: two ranks on each host, in the background; ${pid[RANK]}
    pid=()
    for rank in 0 1 2 3; do
        local host=$a
        [ $rank -lt 2 ] || host=$b
        (as_rank $rank $((rank % 2)) 10.77.0.1 29500 ip netns exec $host "$work/t" "${flags[@]}" --resume auto \
            --save "$work/hosts/ckpt" --log-dir "$work/hosts/logs") >"$work/out.$rank" 2>&1 &
        pid+=($!)
    done
}
reaches() { # reaches STEP: a checkpoint of that step, or a later one, is there
    for _ in $(seq 200); do
        local latest
        latest=$(readlink "$work/hosts/ckpt/latest" || true)
        latest=${latest//[!0-9]/}
        [ -z "$latest" ] || [ $((10#$latest)) -lt "$1" ] || return 0
        sleep 0.05
    done
    cat "$work"/out.? && return 1
}
all_fail() { for p in "${pid[@]}"; do ! wait "$p" || { cat "$work"/out.? && return 1; }; done; }

"$work/t" "${flags[@]}" --save "$work/forked/ckpt" --log-dir "$work/forked/logs" >"$work/out"
"$work/t" "${flags[@]}" --tp 1 --pp 1 --save "$work/one/ckpt" --log-dir "$work/one/logs" >"$work/out"
same_losses forked one

start
reaches 5
kill -KILL "${pid[3]}"
all_fail
says '^error: rank 3 is gone \(its connection closed\) while the others wait in .+; its last operation was .+' "$work/out.0"
says '^error: rank 3 is gone' "$work/out.2"

start
reaches 15
ip -n $a link set $a down
all_fail
says '^error: rank ([23] has not entered .+|[01] waits for .+ from rank [23], which has not sent it) for 3 s \(no sign of life: stopped, or cut off\); its last operation' "$work/out.0"
says '^error: rank 0 gives no sign of life for 3 s .*last operation is .+' "$work/out.2" "$work/out.3"
ip -n $a link set $a up

start
for p in "${pid[@]}"; do wait "$p" || { cat "$work"/out.? && exit 1; }; done
says '^resuming from ' "$work/out.0"
diff <(rows forked) <(rows hosts)
