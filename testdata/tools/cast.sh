#!/usr/bin/env bash
# cast against a node: one line per check. Needs cast and jq.
set -uo pipefail
: "${HTTP_URL:?}" "${WS_URL:?}" "${PRIVATE_KEY:?}"
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 2

export ETH_RPC_URL=$HTTP_URL FOUNDRY_DISABLE_NIGHTLY_WARNING=1 NO_COLOR=1
other=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
account=$(cast wallet address "$PRIVATE_KEY")
chain=$(cast chain-id)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# check NAME: runs the function of that name; what it printed is the reason if it fails.
check() {
  local reason
  if "$1" > "$scratch/out" 2>&1; then
    echo "ok $1"
  else
    reason=$(tr -s '[:space:]' ' ' < "$scratch/out" | cut -c1-400)
    echo "FAIL $1 $reason"
    failed=1
  fi
}

same() { [ "$1" = "$2" ] || { echo "$1 instead of $2"; return 1; }; }

# says WHAT COMMAND…: the command must fail, with this in what it prints.
says() {
  local what=$1 out
  shift
  out=$("$@" 2>&1) && { echo "it did not fail: $out"; return 1; }
  grep -qi -- "$what" <<< "$out" || { echo "$out"; return 1; }
}

# until COMMAND…: repeats it until it succeeds.
until_true() {
  local i
  for ((i = 0; i < 300; i++)); do
    "$@" && return
    sleep 0.2
  done
  echo "waited in vain for: $*"
  return 1
}

send() { cast send --json --private-key "$PRIVATE_KEY" "$@"; }
field() { jq -er "$1"; }

deploy() {
  local receipt
  receipt=$(send --create "$(jq -r .bytecode Probe.json)" 'constructor(uint256)' 7) || { echo "$receipt"; return 1; }
  probe=$(field .contractAddress <<< "$receipt") || return
  [ "$(cast codesize "$probe")" -gt 100 ]
}
call() {
  same "$(cast call "$probe" 'value()(uint256)')" 7 &&
    same "$(cast call "$probe" 'sum(uint256,uint256)(uint256)' 2 40)" 42
}
call_from() { same "$(cast call --from "$other" "$probe" 'sender()(address)')" "$other"; }
call_state_override() {
  same "$(cast call --override-state-diff "$probe:0x0:0x2a" "$probe" 'value()(uint256)')" 42
}
storage() { same "$(cast to-dec "$(cast storage "$probe" 0)")" 7; }
send_and_event() {
  local receipt block count
  receipt=$(send "$probe" 'set(uint256,string)' 8 eight) || { echo "$receipt"; return 1; }
  same "$(field .status <<< "$receipt")" 0x1 || return
  block=$(cast to-dec "$(field .blockNumber <<< "$receipt")")
  count=$(cast logs --json --address "$probe" --from-block "$block" --to-block "$block" \
    'Changed(address indexed,uint256 indexed,string)' "$account" 8 | jq length)
  same "$count" 1 || return
  count=$(cast logs --json --address "$probe" --from-block "$block" --to-block "$block" \
    'Changed(address indexed,uint256 indexed,string)' "$account" 9 | jq length)
  same "$count" 0
}
receipts_and_transactions() {
  local hash
  hash=$(cast send --async --private-key "$PRIVATE_KEY" "$probe" 'set(uint256,string)' 9 nine) || { echo "$hash"; return 1; }
  cast receipt "$hash" --json | field .blockHash &&
    same "$(cast tx "$hash" --json | field .type)" 0x2
}
logs_over_websocket() {
  local pid i value=100
  cast logs --subscribe --rpc-url "$WS_URL" --address "$probe" > "$scratch/logs" 2>&1 &
  pid=$!
  # Until the subscription stands nobody tells: so change again and again.
  for ((i = 0; i < 60; i++)); do
    send "$probe" 'set(uint256,string)' $((value + i)) ws > "$scratch/sent" || { cat "$scratch/sent"; break; }
    grep -qi 'transactionHash' "$scratch/logs" && break
  done
  kill "$pid"
  wait "$pid" 2> /dev/null
  grep -qi 'transactionHash' "$scratch/logs" || { cat "$scratch/logs"; return 1; }
}
calls_over_websocket() {
  same "$(cast call --rpc-url "$WS_URL" "$probe" 'sum(uint256,uint256)(uint256)' 2 40)" 42
}
revert_reason() { says 'not today' cast call "$probe" 'refuse()'; }
revert_custom_error() {
  # The four bytes of TooBig(uint256,uint256) and its arguments.
  says "$(cast calldata 'TooBig(uint256,uint256)' 101 100)" cast call "$probe" 'limit(uint256)' 101
}
revert_panic() {
  says 4e487b71 cast call "$probe" 'overflow(uint8)(uint8)' 1 &&
    says 4e487b71 cast call "$probe" 'beyond(uint256)(uint256)' 5
}
estimate_gas_shows_the_reason() { says 'not today' cast estimate "$probe" 'refuse()'; }
estimate_gas() { same "$(cast estimate --from "$account" --value 1 "$other")" 21000; }
failed_transaction_has_status_0() {
  local out
  out=$(send --gas-limit 100000 "$probe" 'limit(uint256)' 500 2>&1)
  grep -q '"status":"0x0"' <<< "$out" || { echo "$out"; return 1; }
}
fee_estimation() {
  [ "$(cast gas-price)" -gt 0 ] && [ "$(cast base-fee)" -gt 0 ] &&
    cast rpc eth_feeHistory 0x4 latest '[25,75]' | field '.baseFeePerGas | length == 5' &&
    cast rpc eth_maxPriorityFeePerGas
}
transaction_legacy() { same "$(send --legacy --value 1 "$other" | field .type)" 0x0; }
transaction_eip2930() {
  local list='[{"address":"'$other'","storageKeys":[]}]'
  same "$(send --legacy --access-list "$list" --value 1 "$other" | field .type)" 0x1
}
transaction_eip1559() { same "$(send --value 1 "$other" | field .type)" 0x2; }
transaction_eip7702() {
  local key=0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d
  local delegating auth
  delegating=$(cast wallet address "$key")
  auth=$(cast wallet sign-auth --private-key "$key" --chain "$chain" --nonce "$(cast nonce "$delegating")" "$probe")
  same "$(send --auth "$auth" "$other" | field .type)" 0x4 || return
  same "$(cast code "$delegating")" "0xef0100$(tr 'A-F' 'a-f' <<< "${probe#0x}")"
}
create_access_list() {
  cast access-list --json --from "$account" "$probe" 'value()' | field '.accessList | length > 0'
}
send_sync() { same "$(send --sync --value 1 "$other" | field .status)" 0x1; }
proof() { cast proof "$probe" 0 | field '.storageProof | length == 1'; }
nonce_too_low() { says 'nonce too low' cast send --private-key "$PRIVATE_KEY" --nonce 0 --value 1 "$other"; }
mined_up_to() { [ "$(cast nonce "$1")" = "$2" ]; }
replacement_underpriced_and_pending_nonce() {
  local key fresh fees
  key=$(cast wallet new --json | field '.[0].private_key') || return
  fresh=$(cast wallet address "$key")
  fees=(--async --private-key "$key" --gas-limit 21000 --gas-price 50gwei --priority-gas-price 2gwei)
  send --value 1ether "$fresh" || return
  # Behind a gap, so that both stay in the pool.
  cast send "${fees[@]}" --nonce 1 --value 1 "$other" || return
  says 'replacement transaction underpriced' cast send "${fees[@]}" --nonce 1 --value 2 "$other" || return
  cast send "${fees[@]}" --nonce 0 --value 1 "$other" || return
  same "$(cast nonce --block pending "$fresh")" 2 && until_true mined_up_to "$fresh" 2
}
insufficient_funds() {
  local key
  key=$(cast wallet new --json | field '.[0].private_key') || return
  says 'insufficient funds' cast send --private-key "$key" --gas-limit 21000 --nonce 0 --value 1 "$other"
}
receipt_l1_fee() {
  local hash
  hash=$(send --value 1 "$other" | field .transactionHash) || return
  # cast itself shows the fields of Ethereum only.
  cast rpc eth_getTransactionReceipt "$hash" | field '.l1Fee and .l1GasPrice and .l1GasUsed'
}
block_labels() {
  local label
  for label in latest safe finalized pending; do
    cast block "$label" --json | field .timestamp || return
  done
}
client_version() { cast client; }

for name in deploy call call_from call_state_override storage send_and_event receipts_and_transactions \
  logs_over_websocket calls_over_websocket revert_reason revert_custom_error revert_panic \
  estimate_gas_shows_the_reason estimate_gas failed_transaction_has_status_0 fee_estimation \
  transaction_legacy transaction_eip2930 transaction_eip1559 transaction_eip7702 create_access_list \
  send_sync proof nonce_too_low replacement_underpriced_and_pending_nonce insufficient_funds \
  receipt_l1_fee block_labels client_version; do
  check "$name"
done
exit "$failed"
