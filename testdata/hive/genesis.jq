# Folds the fork settings that a hive simulator passes as HIVE_* variables into the "config" of a
# genesis file in geth's form. An unset variable means that the fork is not scheduled.

def number($name): env[$name] | if . == null or . == "" then null else tonumber end;

def fork($key; $variable): {($key): number($variable)};

# blobSchedule entry of a fork: variables first, then the parameters given here.
def blobs($key; $name; $target; $max; $fraction):
  {($key): {
    target: (number("HIVE_\($name)_BLOB_TARGET") // $target),
    max: (number("HIVE_\($name)_BLOB_MAX") // $max),
    baseFeeUpdateFraction: (number("HIVE_\($name)_BLOB_BASE_FEE_UPDATE_FRACTION") // $fraction)
  }};

(
  {chainId: number("HIVE_CHAIN_ID")}
  + fork("homesteadBlock"; "HIVE_FORK_HOMESTEAD")
  + fork("daoForkBlock"; "HIVE_FORK_DAO_BLOCK")
  + fork("eip150Block"; "HIVE_FORK_TANGERINE")
  + fork("eip155Block"; "HIVE_FORK_SPURIOUS")
  + fork("eip158Block"; "HIVE_FORK_SPURIOUS")
  + fork("byzantiumBlock"; "HIVE_FORK_BYZANTIUM")
  + fork("constantinopleBlock"; "HIVE_FORK_CONSTANTINOPLE")
  + fork("petersburgBlock"; "HIVE_FORK_PETERSBURG")
  + fork("istanbulBlock"; "HIVE_FORK_ISTANBUL")
  + fork("muirGlacierBlock"; "HIVE_FORK_MUIR_GLACIER")
  + fork("berlinBlock"; "HIVE_FORK_BERLIN")
  + fork("londonBlock"; "HIVE_FORK_LONDON")
  + fork("arrowGlacierBlock"; "HIVE_FORK_ARROW_GLACIER")
  + fork("grayGlacierBlock"; "HIVE_FORK_GRAY_GLACIER")
  + fork("mergeNetsplitBlock"; "HIVE_MERGE_BLOCK_ID")
  + fork("shanghaiTime"; "HIVE_SHANGHAI_TIMESTAMP")
  + fork("cancunTime"; "HIVE_CANCUN_TIMESTAMP")
  + fork("pragueTime"; "HIVE_PRAGUE_TIMESTAMP")
  + fork("osakaTime"; "HIVE_OSAKA_TIMESTAMP")
  + fork("bpo1Time"; "HIVE_BPO1_TIMESTAMP")
  + fork("bpo2Time"; "HIVE_BPO2_TIMESTAMP")
  + fork("bpo3Time"; "HIVE_BPO3_TIMESTAMP")
  + fork("bpo4Time"; "HIVE_BPO4_TIMESTAMP")
  + fork("bpo5Time"; "HIVE_BPO5_TIMESTAMP")
  + fork("amsterdamTime"; "HIVE_AMSTERDAM_TIMESTAMP")
  + {terminalTotalDifficulty: number("HIVE_TERMINAL_TOTAL_DIFFICULTY")}
  + {daoForkSupport: (if env.HIVE_FORK_DAO_VOTE then env.HIVE_FORK_DAO_VOTE == "1" else null end)}
  + {depositContractAddress: env.HIVE_DEPOSIT_CONTRACT_ADDRESS}
  | with_entries(select(.value != null))
) as $config
| .config = $config + {blobSchedule: (
    blobs("cancun"; "CANCUN"; 3; 6; 3338477)
    + blobs("prague"; "PRAGUE"; 6; 9; 5007716)
    + blobs("osaka"; "OSAKA"; 6; 9; 5007716)
    + if $config.bpo1Time then blobs("bpo1"; "BPO1"; 10; 15; 8346193) else {} end
    + if $config.bpo2Time then blobs("bpo2"; "BPO2"; 14; 21; 11684671) else {} end
    + if $config.bpo3Time then blobs("bpo3"; "BPO3"; 14; 21; 11684671) else {} end
    + if $config.bpo4Time then blobs("bpo4"; "BPO4"; 14; 21; 11684671) else {} end
    + if $config.bpo5Time then blobs("bpo5"; "BPO5"; 14; 21; 11684671) else {} end
  )}
