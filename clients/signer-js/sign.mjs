// A signer that knows nothing of the house: keys from a phrase, and signatures with @scure/btc-signer.
//
//   node sign.mjs key PHRASE            prints the account's public key with its origin
//   node sign.mjs sign PHRASE PSBT      signs every input that has a key of the account; prints the PSBT
//
// The account is 84'/297'/0' (BIP-84, coin type 297). Keys are written with the version bytes of test networks.
import { HDKey } from '@scure/bip32';
import { mnemonicToSeedSync } from '@scure/bip39';
import { Transaction } from '@scure/btc-signer';

const TEST_VERSIONS = { private: 0x04358394, public: 0x043587cf };
const ACCOUNT = "84'/297'/0'";

const [verb, phrase, psbt] = process.argv.slice(2);
const root = HDKey.fromMasterSeed(mnemonicToSeedSync(phrase), TEST_VERSIONS);

if (verb === 'key') {
  const fingerprint = root.fingerprint.toString(16).padStart(8, '0');
  const account = root.derive(`m/${ACCOUNT}`);
  console.log(`[${fingerprint}/${ACCOUNT}]${account.publicExtendedKey}`);
} else if (verb === 'sign') {
  const tx = Transaction.fromPSBT(Buffer.from(psbt, 'base64'));
  let signed = 0;
  for (let index = 0; index < tx.inputsLength; index += 1) {
    if (tx.signIdx(root, index)) signed += 1;
  }
  if (signed !== tx.inputsLength) throw new Error(`${signed} of ${tx.inputsLength} inputs signed`);
  console.log(Buffer.from(tx.toPSBT()).toString('base64'));
} else {
  throw new Error(`unknown verb ${verb}`);
}
