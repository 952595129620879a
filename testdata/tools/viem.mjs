// viem against a node: one line per check.

import {
  createPublicClient, createWalletClient, defineChain, http, webSocket, parseEther, parseGwei,
  BaseError, ContractFunctionRevertedError, InsufficientFundsError, NonceTooLowError,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { check, expect, finish, httpUrl, key, other, probe, same, thrown, until, within, wsUrl } from './check.mjs';

const account = privateKeyToAccount(key);
const probing = createPublicClient({ transport: http(httpUrl) });
const id = await probing.getChainId();
const chain = defineChain({
  id, name: 'tried', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [httpUrl] } },
});
const polling = { chain, pollingInterval: 100 };
const reader = createPublicClient({ ...polling, transport: http(httpUrl) });
const wallet = createWalletClient({ ...polling, account, transport: http(httpUrl) });
const socket = createPublicClient({ ...polling, transport: webSocket(wsUrl) });
const { abi, bytecode } = probe;
let address;

const mined = (hash) => reader.waitForTransactionReceipt({ hash });
const call = (functionName, args = []) => reader.readContract({ address, abi, functionName, args });
const walk = (error, kind) => error.walk?.((cause) => cause instanceof kind);

check('deploy', async () => {
  const receipt = await mined(await wallet.deployContract({ abi, bytecode, args: [7n] }));
  same(receipt.status, 'success');
  address = receipt.contractAddress;
  expect((await reader.getCode({ address })).length > 100, 'no code');
});

check('call', async () => {
  same(await call('value'), 7n);
  same(await call('sum', [2n, 40n]), 42n);
});

check('call_from', async () => {
  const found = await reader.readContract({ address, abi, functionName: 'sender', account: other });
  same(found, other);
});

check('call_state_override', async () => {
  const slot = `0x${'0'.repeat(64)}`;
  const stateDiff = [{ slot, value: `0x${'0'.repeat(62)}2a` }];
  const found = await reader.readContract({
    address, abi, functionName: 'value', stateOverride: [{ address, stateDiff }],
  });
  same(found, 42n);
});

check('send_and_event', async () => {
  const { request } = await reader.simulateContract({
    address, abi, functionName: 'set', args: [8n, 'eight'], account,
  });
  const receipt = await mined(await wallet.writeContract(request));
  same([receipt.status, receipt.logs.length, receipt.type], ['success', 1, 'eip1559']);
  const [event] = await reader.getContractEvents({
    address, abi, eventName: 'Changed', args: { value: 8n },
    fromBlock: receipt.blockNumber, toBlock: receipt.blockNumber,
  });
  same([event.args.who, event.args.note], [account.address, 'eight']);
  same(await reader.getContractEvents({
    address, abi, eventName: 'Changed', args: { value: 9n },
    fromBlock: receipt.blockNumber, toBlock: receipt.blockNumber,
  }), []);
});

check('filter', async () => {
  const filter = await reader.createContractEventFilter({ address, abi, eventName: 'Changed' });
  await mined(await wallet.writeContract({ address, abi, functionName: 'set', args: [9n, 'nine'] }));
  const changes = await until('the change', async () => {
    const changes = await reader.getFilterChanges({ filter });
    return changes.length > 0 && changes;
  });
  same(changes[0].args.value, 9n);
  same(await reader.uninstallFilter({ filter }), true);
});

check('logs_over_websocket', async () => {
  let unwatch;
  const seen = new Promise((resolve, reject) => {
    unwatch = socket.watchContractEvent({
      address, abi, eventName: 'Changed', onLogs: (logs) => resolve(logs[0]), onError: reject,
    });
  });
  // A request on the same connection is answered after the subscription.
  await socket.getBlockNumber();
  let value = 100n;
  const found = await until('a log', async () => {
    value += 1n;
    await mined(await wallet.writeContract({ address, abi, functionName: 'set', args: [value, 'ws'] }));
    return Promise.race([seen, new Promise((resolve) => setTimeout(resolve, 500))]);
  });
  same(found.args.note, 'ws');
  unwatch();
});

check('heads_over_websocket', async () => {
  let unwatch;
  const seen = new Promise((resolve, reject) => {
    unwatch = socket.watchBlocks({ onBlock: resolve, onError: reject });
  });
  const block = await within('a head', seen);
  same((await reader.getBlock({ blockHash: block.hash })).number, block.number);
  unwatch();
});

check('pending_transactions_over_websocket', async () => {
  const seen = new Set();
  const unwatch = socket.watchPendingTransactions({
    batch: false, poll: false, onTransactions: (hashes) => hashes.forEach((hash) => seen.add(hash)),
  });
  await socket.getBlockNumber();
  await until('a pending transaction', async () => {
    const hash = await wallet.sendTransaction({ to: other, value: 1n });
    await mined(hash);
    return seen.has(hash);
  });
  unwatch();
});

check('batch_of_100', async () => {
  const batching = createPublicClient({
    ...polling, transport: http(httpUrl, { batch: { batchSize: 100, wait: 20 } }),
  });
  const numbers = Array.from({ length: 100 }, (_, i) => BigInt(i));
  const sums = await Promise.all(numbers.map((i) =>
    batching.readContract({ address, abi, functionName: 'sum', args: [i, 1n] })));
  same(sums, numbers.map((i) => i + 1n));
});

check('revert_reason', async () => {
  const error = walk(await thrown(() => call('refuse')), ContractFunctionRevertedError);
  same(error?.reason, 'not today');
});

check('revert_custom_error', async () => {
  const error = await thrown(() => reader.simulateContract({
    address, abi, functionName: 'limit', args: [101n], account,
  }));
  const { data } = walk(error, ContractFunctionRevertedError);
  same([data.errorName, data.args], ['TooBig', [101n, 100n]]);
});

check('revert_panic', async () => {
  const error = walk(await thrown(() => call('overflow', [1])), ContractFunctionRevertedError);
  same([error?.data?.errorName, error?.data?.args], ['Panic', [17n]]);
});

check('estimate_gas_shows_the_reason', async () => {
  const error = await thrown(() => reader.estimateContractGas({
    address, abi, functionName: 'refuse', account,
  }));
  same(walk(error, ContractFunctionRevertedError)?.reason, 'not today');
});

check('estimate_gas', async () => {
  same(await reader.estimateGas({ account, to: other, value: 1n }), 21_000n);
});

check('failed_transaction_has_status_0', async () => {
  const receipt = await mined(await wallet.writeContract({
    address, abi, functionName: 'limit', args: [500n], gas: 100_000n,
  }));
  same(receipt.status, 'reverted');
});

check('fee_history', async () => {
  const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
  same(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  same(history.reward.length, history.gasUsedRatio.length);
});

check('fee_estimation', async () => {
  const fees = await reader.estimateFeesPerGas();
  const { baseFeePerGas } = await reader.getBlock();
  expect(fees.maxFeePerGas >= baseFeePerGas, `${fees.maxFeePerGas} is below the base fee`);
  expect(fees.maxPriorityFeePerGas <= fees.maxFeePerGas, 'the tip is above the fee');
  expect(await reader.getGasPrice() > 0n, 'no gas price');
});

for (const [type, fields] of [
  ['legacy', { type: 'legacy' }],
  ['eip2930', { type: 'eip2930', accessList: [{ address: other, storageKeys: [] }] }],
  ['eip1559', { type: 'eip1559' }],
]) {
  check(`transaction_${type}`, async () => {
    const hash = await wallet.sendTransaction({ to: other, value: 1n, ...fields });
    const [receipt, found] = [await mined(hash), await reader.getTransaction({ hash })];
    same([receipt.status, receipt.type, found.type], ['success', type, type]);
  });
}

check('transaction_eip7702', async () => {
  const delegating = privateKeyToAccount(generatePrivateKey());
  const authorization = await delegating.signAuthorization({ address, chainId: id, nonce: 0 });
  const receipt = await mined(await wallet.sendTransaction({
    to: other, value: 0n, authorizationList: [authorization], gas: 200_000n,
  }));
  same([receipt.status, receipt.type], ['success', 'eip7702']);
  const code = await reader.getCode({ address: delegating.address });
  same(code?.toLowerCase(), `0xef0100${address.slice(2).toLowerCase()}`);
});

check('create_access_list', async () => {
  const list = await reader.createAccessList({ to: address, data: '0x3fa4f245', account });
  expect(list.accessList.length > 0 && list.gasUsed > 21_000n, 'an empty list');
});

check('send_sync', async () => {
  const receipt = await wallet.sendTransactionSync({ to: other, value: 1n });
  same(receipt.status, 'success');
});

check('proof', async () => {
  const proof = await reader.getProof({ address, storageKeys: [`0x${'0'.repeat(64)}`] });
  expect(proof.accountProof.length > 0 && proof.storageProof.length === 1, 'no proof');
});

check('nonce_too_low', async () => {
  const error = await thrown(() => wallet.sendTransaction({ to: other, value: 1n, nonce: 0 }));
  expect(walk(error, NonceTooLowError), error.message);
});

check('replacement_underpriced_and_pending_nonce', async () => {
  const fresh = privateKeyToAccount(generatePrivateKey());
  await mined(await wallet.sendTransaction({ to: fresh.address, value: parseEther('1') }));
  const from = createWalletClient({ ...polling, account: fresh, transport: http(httpUrl) });
  // Behind a gap, so that both stay in the pool.
  const fees = { maxFeePerGas: parseGwei('50'), maxPriorityFeePerGas: parseGwei('2'), gas: 21_000n };
  await from.sendTransaction({ to: other, value: 1n, nonce: 1, ...fees });
  const error = await thrown(() => from.sendTransaction({ to: other, value: 2n, nonce: 1, ...fees }));
  expect(/replacement transaction underpriced/i.test(error.message), error.message);
  const first = await from.sendTransaction({ to: other, value: 1n, nonce: 0, ...fees });
  const pending = () => reader.getTransactionCount({ address: fresh.address, blockTag: 'pending' });
  same(await pending(), 2);
  same((await mined(first)).status, 'success');
  await until('the second one', async () =>
    (await reader.getTransactionCount({ address: fresh.address })) === 2);
});

check('insufficient_funds', async () => {
  const poor = privateKeyToAccount(generatePrivateKey());
  const from = createWalletClient({ ...polling, account: poor, transport: http(httpUrl) });
  const fees = { maxFeePerGas: parseGwei('50'), maxPriorityFeePerGas: 1n, gas: 21_000n, nonce: 0 };
  const error = await thrown(() => from.sendTransaction({ to: other, value: 1n, ...fees }));
  expect(walk(error, InsufficientFundsError), error.message);
});

check('receipt_l1_fee', async () => {
  const receipt = await mined(await wallet.sendTransaction({ to: other, value: 1n }));
  for (const field of ['l1Fee', 'l1GasPrice', 'l1GasUsed']) {
    expect(receipt[field] !== undefined, `no ${field}`);
  }
});

check('block_labels', async () => {
  for (const blockTag of ['latest', 'safe', 'finalized', 'earliest', 'pending']) {
    expect((await reader.getBlock({ blockTag })).timestamp > 0n || blockTag === 'earliest', blockTag);
  }
});

check('unknown_method', async () => {
  const error = await thrown(() => reader.request({ method: 'eth_noSuchThing' }));
  expect(error instanceof BaseError, error.message);
  same(error.code, -32601);
});

await finish();
