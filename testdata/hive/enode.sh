#!/usr/bin/env bash
# The enode URL that the running instance tells. Nothing listens there: no devp2p.
set -euo pipefail
curl -sf -H 'content-type: application/json' \
  --data '{"jsonrpc":"2.0","id":1,"method":"admin_nodeInfo","params":[]}' \
  "http://$HIVELITE_IP:8545" | jq -r .result.enode
