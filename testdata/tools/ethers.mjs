// ethers against a node: one line per check.

import { ethers } from 'ethers';
import { check, expect, finish, httpUrl, key, other, probe, same, thrown, until, within, wsUrl } from './check.mjs';

const provider = new ethers.JsonRpcProvider(httpUrl, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const wallet = new ethers.Wallet(key, provider);
const { chainId } = await provider.getNetwork();
const { abi, bytecode } = probe;
let contract;

const mined = async (sent) => (await sent).wait();
const fixed = async (fields) => ({ to: other, value: 1n, gasLimit: 21_000n, chainId, ...fields });

check('deploy', async () => {
  const deployed = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(7n);
  contract = await deployed.waitForDeployment();
  expect((await provider.getCode(contract.target)).length > 100, 'no code');
});

check('call', async () => {
  same(await contract.value(), 7n);
  same(await contract.sum(2n, 40n), 42n);
});

check('call_from', async () => same(await contract.connect(provider).sender({ from: other }), other));

check('call_at_block_hash', async () => {
  const { hash } = await provider.getBlock('latest');
  same(await contract.value({ blockTag: hash }), 7n);
});

check('send_and_event', async () => {
  const receipt = await mined(contract.set(8n, 'eight'));
  same([receipt.status, receipt.logs.length, receipt.type], [1, 1, 2]);
  const block = receipt.blockNumber;
  const [event] = await contract.queryFilter(contract.filters.Changed(null, 8n), block, block);
  same([event.args.who, event.args.note], [wallet.address, 'eight']);
  same(await contract.queryFilter(contract.filters.Changed(null, 9n), block, block), []);
});

check('receipts_and_transactions', async () => {
  const sent = await contract.set(9n, 'nine');
  const receipt = await sent.wait();
  const found = await provider.getTransaction(sent.hash);
  same([found.nonce, found.from, found.blockHash], [sent.nonce, wallet.address, receipt.blockHash]);
  const block = await provider.getBlock(receipt.blockNumber, true);
  expect(block.prefetchedTransactions.some((tx) => tx.hash === sent.hash), 'not in its block');
});

check('logs_over_websocket', async () => {
  const socket = new ethers.WebSocketProvider(wsUrl);
  const listening = new ethers.Contract(contract.target, abi, socket);
  const seen = new Promise((resolve) =>
    listening.on('Changed', (who, value, note) => resolve([who, note])));
  let value = 100n;
  const found = await until('a log', async () => {
    value += 1n;
    await mined(contract.set(value, 'ws'));
    return Promise.race([seen, new Promise((resolve) => setTimeout(resolve, 500))]);
  });
  same(found, [wallet.address, 'ws']);
  await socket.destroy();
});

check('heads_over_websocket', async () => {
  const socket = new ethers.WebSocketProvider(wsUrl);
  const number = await within('a head', new Promise((resolve) => socket.once('block', resolve)));
  expect((await provider.getBlock(number)).number === number, 'an unknown block');
  await socket.destroy();
});

check('pending_transactions_over_websocket', async () => {
  const socket = new ethers.WebSocketProvider(wsUrl);
  const seen = new Set();
  await socket.on('pending', (hash) => seen.add(hash));
  await until('a pending transaction', async () => {
    const sent = await wallet.sendTransaction({ to: other, value: 1n });
    await sent.wait();
    return seen.has(sent.hash);
  });
  await socket.destroy();
});

check('batch_of_100', async () => {
  const batching = new ethers.JsonRpcProvider(httpUrl, undefined, { batchMaxCount: 100, batchStallTime: 20 });
  const reading = contract.connect(batching);
  const numbers = Array.from({ length: 100 }, (_, i) => BigInt(i));
  same(await Promise.all(numbers.map((i) => reading.sum(i, 1n))), numbers.map((i) => i + 1n));
  batching.destroy();
});

check('revert_reason', async () => {
  const error = await thrown(() => contract.refuse());
  same([error.code, error.reason], ['CALL_EXCEPTION', 'not today']);
});

check('revert_custom_error', async () => {
  const error = await thrown(() => contract.limit.staticCall(101n));
  same([error.revert?.name, [...(error.revert?.args ?? [])]], ['TooBig', [101n, 100n]]);
});

check('revert_panic', async () => {
  const error = await thrown(() => contract.overflow(1));
  same([error.revert?.name, error.revert?.args.map(Number)], ['Panic', [17]]);
  const beyond = await thrown(() => contract.beyond(5n));
  same(beyond.revert?.args.map(Number), [50]);
});

check('estimate_gas_shows_the_reason', async () => {
  const error = await thrown(() => contract.refuse.estimateGas());
  same([error.code, error.action, error.reason], ['CALL_EXCEPTION', 'estimateGas', 'not today']);
});

check('estimate_gas', async () => {
  same(await provider.estimateGas({ from: wallet.address, to: other, value: 1n }), 21_000n);
});

check('failed_transaction_has_status_0', async () => {
  const sent = await contract.limit(500n, { gasLimit: 100_000n });
  const error = await thrown(() => sent.wait());
  same([error.code, error.receipt?.status], ['CALL_EXCEPTION', 0]);
});

check('fee_estimation', async () => {
  const fees = await provider.getFeeData();
  const { baseFeePerGas } = await provider.getBlock('latest');
  expect(fees.maxFeePerGas >= baseFeePerGas, `${fees.maxFeePerGas} is below the base fee`);
  expect(fees.gasPrice > 0n && fees.maxPriorityFeePerGas >= 0n, 'no gas price');
});

for (const [name, fields] of [
  ['legacy', { type: 0 }],
  ['eip2930', { type: 1, accessList: [{ address: other, storageKeys: [] }] }],
  ['eip1559', { type: 2 }],
]) {
  check(`transaction_${name}`, async () => {
    const receipt = await mined(wallet.sendTransaction({ to: other, value: 1n, ...fields }));
    same([receipt.status, receipt.type], [1, fields.type]);
    same((await provider.getTransaction(receipt.hash)).type, fields.type);
  });
}

check('transaction_eip7702', async () => {
  const delegating = ethers.Wallet.createRandom();
  const authorization = await delegating.authorize({ address: contract.target, chainId, nonce: 0 });
  const receipt = await mined(wallet.sendTransaction({
    type: 4, to: other, authorizationList: [authorization], gasLimit: 200_000n,
  }));
  same(receipt.type, 4);
  const code = await provider.getCode(delegating.address);
  same(code, `0xef0100${contract.target.slice(2).toLowerCase()}`);
});

check('nonce_too_low', async () => {
  const error = await thrown(() => wallet.sendTransaction({ to: other, value: 1n, nonce: 0 }));
  same(error.code, 'NONCE_EXPIRED');
});

check('replacement_underpriced_and_pending_nonce', async () => {
  const fresh = ethers.Wallet.createRandom().connect(provider);
  await mined(wallet.sendTransaction({ to: fresh.address, value: ethers.parseEther('1') }));
  // Behind a gap, so that both stay in the pool.
  const fees = {
    type: 2, maxFeePerGas: ethers.parseUnits('50', 'gwei'), maxPriorityFeePerGas: ethers.parseUnits('2', 'gwei'),
  };
  await fresh.sendTransaction(await fixed({ nonce: 1, ...fees }));
  const error = await thrown(async () =>
    fresh.sendTransaction(await fixed({ nonce: 1, ...fees, value: 2n })));
  same(error.code, 'REPLACEMENT_UNDERPRICED');
  const first = await fresh.sendTransaction(await fixed({ nonce: 0, ...fees }));
  same(await provider.getTransactionCount(fresh.address, 'pending'), 2);
  same((await first.wait()).status, 1);
  await until('the second one', async () => (await fresh.getNonce('latest')) === 2);
});

check('insufficient_funds', async () => {
  const poor = ethers.Wallet.createRandom().connect(provider);
  const fees = { type: 2, maxFeePerGas: 50_000_000_000n, maxPriorityFeePerGas: 1n, nonce: 0 };
  const error = await thrown(async () => poor.sendTransaction(await fixed(fees)));
  same(error.code, 'INSUFFICIENT_FUNDS');
});

check('receipt_l1_fee', async () => {
  const { hash } = await mined(wallet.sendTransaction({ to: other, value: 1n }));
  const raw = await provider.send('eth_getTransactionReceipt', [hash]);
  for (const field of ['l1Fee', 'l1GasPrice', 'l1GasUsed']) {
    expect(raw[field] !== undefined, `no ${field}`);
  }
});

check('block_labels', async () => {
  for (const label of ['latest', 'safe', 'finalized', 'pending']) {
    expect((await provider.getBlock(label))?.number > 0, label);
  }
});

check('unknown_method', async () => {
  const error = await thrown(() => provider.send('eth_noSuchThing', []));
  // ethers goes by the text of the error, which is geth's.
  same(error.code, 'UNSUPPORTED_OPERATION');
});

await finish();
