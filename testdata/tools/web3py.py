"""web3.py against a node: one line per check."""

import asyncio
import json
import os
import pathlib
import sys
import time

from eth_account import Account
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError, Web3RPCError

PATIENCE = 60
OTHER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
PROBE = json.loads((pathlib.Path(__file__).parent / "Probe.json").read_text())
CHECKS = []

w3 = Web3(Web3.HTTPProvider(os.environ["HTTP_URL"]))
account = Account.from_key(os.environ["PRIVATE_KEY"])
chain_id = w3.eth.chain_id
contract = None


def check(run):
    CHECKS.append(run)
    return run


def same(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def thrown(kind, run):
    try:
        run()
    except kind as error:
        return error
    raise AssertionError(f"it did not fail with {kind.__name__}")


def until(what, probe):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


def send(signer=account, **fields):
    """Fills in what is missing as web3.py does it, signs and sends."""
    tx = {"from": signer.address, "to": OTHER, "value": 1, "chainId": chain_id, **fields}
    tx.setdefault("nonce", w3.eth.get_transaction_count(signer.address, "pending"))
    if "gasPrice" not in tx and "maxFeePerGas" not in tx:
        tip = w3.eth.max_priority_fee
        tx["maxPriorityFeePerGas"] = tip
        tx["maxFeePerGas"] = 2 * w3.eth.get_block("latest")["baseFeePerGas"] + tip
    tx.setdefault("gas", 21_000)
    return w3.eth.send_raw_transaction(signer.sign_transaction(tx).raw_transaction)


def mined(tx_hash):
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=PATIENCE, poll_latency=0.1)


def transact(function, **fields):
    tx = function.build_transaction({
        "from": account.address, "chainId": chain_id,
        "nonce": w3.eth.get_transaction_count(account.address, "pending"), **fields,
    })
    return mined(w3.eth.send_raw_transaction(account.sign_transaction(tx).raw_transaction))


@check
def deploy():
    global contract
    factory = w3.eth.contract(abi=PROBE["abi"], bytecode=PROBE["bytecode"])
    receipt = transact(factory.constructor(7))
    same(receipt["status"], 1)
    contract = w3.eth.contract(address=receipt["contractAddress"], abi=PROBE["abi"])


@check
def call():
    same(contract.functions.value().call(), 7)
    same(contract.functions.sum(2, 40).call(), 42)


@check
def call_from():
    same(contract.functions.sender().call({"from": OTHER}), OTHER)


@check
def call_state_override():
    slot = "0x" + "00" * 32
    override = {contract.address: {"stateDiff": {slot: "0x" + "00" * 31 + "2a"}}}
    same(contract.functions.value().call(state_override=override), 42)


@check
def send_and_event():
    receipt = transact(contract.functions.set(8, "eight"))
    same((receipt["status"], receipt["type"]), (1, 2))
    (event,) = contract.events.Changed().process_receipt(receipt)
    same((event["args"]["who"], event["args"]["note"]), (account.address, "eight"))
    block = receipt["blockNumber"]
    changed = contract.events.Changed
    found = changed.get_logs(from_block=block, to_block=block, argument_filters={"value": 8})
    same(len(found), 1)
    none = changed.get_logs(from_block=block, to_block=block, argument_filters={"value": 9})
    same(len(none), 0)


@check
def filter_changes():
    changes = contract.events.Changed.create_filter(from_block="latest")
    transact(contract.functions.set(9, "nine"))
    found = until("the change", changes.get_new_entries)
    same(found[-1]["args"]["value"], 9)
    same(w3.eth.uninstall_filter(changes.filter_id), True)


async def first_message(kind, *arguments, provoke=None):
    """What a subscription tells first."""
    async with AsyncWeb3(WebSocketProvider(os.environ["WS_URL"])) as socket:
        await socket.eth.subscribe(kind, *arguments)
        if provoke:
            await asyncio.to_thread(provoke)
        async for message in socket.socket.process_subscriptions():
            return message["result"]


def subscribed(*arguments, **options):
    return asyncio.run(asyncio.wait_for(first_message(*arguments, **options), PATIENCE))


@check
def logs_over_websocket():
    log = subscribed("logs", {"address": contract.address},
                     provoke=lambda: transact(contract.functions.set(100, "ws")))
    same(contract.events.Changed().process_log(log)["args"]["note"], "ws")


@check
def heads_over_websocket():
    head = subscribed("newHeads")
    same(w3.eth.get_block(head["hash"])["number"], head["number"])


@check
def pending_transactions_over_websocket():
    sent = []
    found = subscribed("newPendingTransactions", provoke=lambda: sent.append(send()))
    same(found, sent[0])
    mined(found)


@check
def batch_of_100():
    with w3.batch_requests() as batch:
        for i in range(100):
            batch.add(contract.functions.sum(i, 1))
        same(batch.execute(), [i + 1 for i in range(100)])


@check
def revert_reason():
    error = thrown(ContractLogicError, contract.functions.refuse().call)
    assert "not today" in str(error), error


@check
def revert_custom_error():
    call = contract.functions.limit(101).call
    error = thrown(ContractCustomError, call)
    expected = contract.encode_abi("sum", [101, 100])[10:]
    assert error.data.endswith(expected), error


@check
def revert_panic():
    error = thrown(ContractPanicError, contract.functions.overflow(1).call)
    assert "overflow" in str(error), error
    thrown(ContractPanicError, contract.functions.beyond(5).call)


@check
def estimate_gas_shows_the_reason():
    error = thrown(ContractLogicError, contract.functions.refuse().estimate_gas)
    assert "not today" in str(error), error


@check
def estimate_gas():
    same(w3.eth.estimate_gas({"from": account.address, "to": OTHER, "value": 1}), 21_000)


@check
def failed_transaction_has_status_0():
    same(transact(contract.functions.limit(500), gas=100_000)["status"], 0)


@check
def fee_estimation():
    history = w3.eth.fee_history(4, "latest", [25, 75])
    same(len(history["baseFeePerGas"]), len(history["gasUsedRatio"]) + 1)
    same(len(history["reward"]), len(history["gasUsedRatio"]))
    assert w3.eth.gas_price > 0
    assert w3.eth.max_priority_fee >= 0


@check
def transaction_legacy():
    same(mined(send(gasPrice=2 * w3.eth.gas_price))["type"], 0)


@check
def transaction_eip2930():
    access = [{"address": OTHER, "storageKeys": []}]
    fields = {"type": 1, "gasPrice": 2 * w3.eth.gas_price, "accessList": access, "gas": 30_000}
    same(mined(send(**fields))["type"], 1)


@check
def transaction_eip1559():
    tx_hash = send()
    same((mined(tx_hash)["type"], w3.eth.get_transaction(tx_hash)["type"]), (2, 2))


@check
def transaction_eip7702():
    delegating = Account.create()
    authorization = {"chainId": chain_id, "address": contract.address, "nonce": 0}
    signed = delegating.sign_authorization(authorization)
    receipt = mined(send(value=0, gas=200_000, authorizationList=[signed]))
    same((receipt["status"], receipt["type"]), (1, 4))
    same(w3.eth.get_code(delegating.address).hex(), "ef0100" + contract.address[2:].lower())


@check
def create_access_list():
    found = w3.eth.create_access_list({"from": account.address, "to": contract.address, "data": "0x3fa4f245"})
    assert found["accessList"] and int(found["gasUsed"]) > 21_000, found


@check
def nonce_too_low():
    error = thrown(Web3RPCError, lambda: send(nonce=0))
    assert "nonce too low" in str(error), error


@check
def replacement_underpriced_and_pending_nonce():
    fresh = Account.create()
    mined(send(to=fresh.address, value=10**18))
    # Behind a gap, so that both stay in the pool.
    fees = {"maxFeePerGas": 50 * 10**9, "maxPriorityFeePerGas": 2 * 10**9}
    send(fresh, nonce=1, **fees)
    error = thrown(Web3RPCError, lambda: send(fresh, nonce=1, **{**fees, "value": 2}))
    assert "replacement transaction underpriced" in str(error), error
    first = send(fresh, nonce=0, **fees)
    same(w3.eth.get_transaction_count(fresh.address, "pending"), 2)
    same(mined(first)["status"], 1)
    until("the second one", lambda: w3.eth.get_transaction_count(fresh.address) == 2)


@check
def insufficient_funds():
    fees = {"maxFeePerGas": 50 * 10**9, "maxPriorityFeePerGas": 1, "nonce": 0}
    error = thrown(Web3RPCError, lambda: send(Account.create(), **fees))
    assert "insufficient funds" in str(error), error


@check
def proof():
    found = w3.eth.get_proof(contract.address, [0], "latest")
    assert found["accountProof"] and len(found["storageProof"]) == 1, found


@check
def receipt_l1_fee():
    receipt = mined(send())
    for field in ("l1Fee", "l1GasPrice", "l1GasUsed"):
        assert field in receipt, f"no {field}"


@check
def block_labels():
    for label in ("latest", "safe", "finalized", "pending"):
        assert w3.eth.get_block(label)["number"] > 0, label


@check
def unknown_method():
    answer = w3.provider.make_request("eth_noSuchThing", [])
    same(answer["error"]["code"], -32601)


def main():
    failed = 0
    for run in CHECKS:
        try:
            run()
            print(f"ok {run.__name__}", flush=True)
        except Exception as error:  # whatever it is, it is this check that failed
            failed += 1
            text = " ".join(f"{type(error).__name__}: {error}".split())[:400]
            print(f"FAIL {run.__name__} {text}", flush=True)
    sys.exit(1 if failed else 0)


main()
