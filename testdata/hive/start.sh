#!/usr/bin/env bash
# Starts one Banyan for a hive simulator; see README.md for what is expected in the environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
banyan=${CLIENT_BIN:?set CLIENT_BIN to the banyan binary}
ip=$HIVELITE_IP work=$HIVELITE_WORK files=$HIVELITE_ROOT

jq -f "$here/genesis.jq" "$files/genesis.json" > "$work/genesis.json"
printf '%s' "$HIVELITE_JWT_HEX" > "$work/jwt.hex"
store=(--chain "$work/genesis.json" --datadir "$work/data")

# A bad block ends its import; the node then starts from the last good one.
if [ -f "$files/chain.rlp" ]; then
  "$banyan" import "${store[@]}" "$files/chain.rlp" || true
fi
if [ -d "$files/blocks" ]; then
  find "$files/blocks" -type f | sort -V | while read -r block; do
    "$banyan" import "${store[@]}" "$block" || true
  done
fi

limit=()
[ -z "${HIVE_TARGET_GAS_LIMIT:-}" ] || limit=(--builder.gaslimit "$HIVE_TARGET_GAS_LIMIT")
exec "$banyan" node "${store[@]}" "${limit[@]}" \
  --network-id "${HIVE_NETWORK_ID:-1337}" --addr "$ip" --nat "extip:$ip" \
  --http --http.addr "$ip" --http.port 8545 --http.api all,testing \
  --ws --ws.addr "$ip" --ws.port 8546 --ws.api all,testing \
  --authrpc.addr "$ip" --authrpc.port 8551 --authrpc.jwtsecret "$work/jwt.hex"
