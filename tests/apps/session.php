<?php
/* Counts in a session, which PHP's handler locks by add and delete.  Argument: session id. */
session_id($argv[1]);
session_start();
$n = $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
session_write_close();
echo "n: $n\n";
