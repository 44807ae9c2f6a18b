# The table of served.c for Memcached::libmemcached.  Arguments: two sockets.
use strict;
use warnings;
use IO::Socket::UNIX;
use Memcached::libmemcached qw(/^memcached/ /^MEMCACHED/);

use constant { KEYS => 10, ROUNDS => 100 };

my @sockets = @ARGV;

# What memcached counted, asked without libmemcached.
sub gets_of {
	my $connection = IO::Socket::UNIX->new(Peer => $_[0]) or die 'no statistics';
	print $connection "stats\r\n";
	while (<$connection>) {
		return $1 if /^STAT cmd_get (\d+)/;
	}
	die 'no count of gets';
}

sub gets_of_both {
	return gets_of($sockets[0]) + gets_of($sockets[1]);
}

sub open_cache {
	my ($kind, $binary) = @_;
	my $cache = Memcached::libmemcached->new;
	memcached_behavior_set($cache, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, $binary);
	memcached_callback_set($cache, MEMCACHED_CALLBACK_PREFIX_KEY, $kind->{prefix})
		if $kind->{prefix};
	memcached_server_add_unix_socket($cache, $sockets[0]);
	if ($kind->{ketama}) {
		memcached_behavior_set($cache, MEMCACHED_BEHAVIOR_KETAMA, 1);
		memcached_server_add_unix_socket($cache, $sockets[1]);
	}
	return $cache;
}

# Each reads all keys once and gives a hash of values.
my %ways = (
	'get' => sub {
		my ($cache, $master, @keys) = @_;
		return { map {
			$_ => $master ? memcached_get_by_key($cache, $master, $_)
				: memcached_get($cache, $_)
		} @keys };
	},
	'get_multi' => sub {
		my ($cache, $master, @keys) = @_;
		return $cache->get_multi(@keys);
	},
	'mget+fetch' => sub {
		my ($cache, $master, @keys) = @_;
		my %values;
		$master ? memcached_mget_by_key($cache, $master, \@keys)
			: memcached_mget($cache, \@keys);
		while (defined(my $value = memcached_fetch($cache, my $key))) {
			$values{$key} = $value;
		}
		return \%values;
	},
	'mget_into_hashref' => sub {
		my ($cache, $master, @keys) = @_;
		my %values;
		$cache->mget_into_hashref(\@keys, \%values);
		return \%values;
	},
	'get(callback)' => sub {
		my ($cache, $master, @keys) = @_;
		my $called = 0;
		$cache->set_callback_coderefs(sub { }, sub { $called++; return });
		my %values = map { $_ => memcached_get($cache, $_) } @keys;
		$cache->set_callback_coderefs(sub { }, sub { });
		die 'callbacks were not called' if $called != @keys;
		return \%values;
	},
);
my @without_master = ('get_multi', 'mget_into_hashref', 'get(callback)');

my @kinds = (
	[ 'one', {} ],
	[ 'new', { new => 1 } ],
	[ 'prefix', { prefix => 'prefix:' } ],
	[ 'master', { master => 'master' } ],
	[ 'ketama', { ketama => 1 } ],
	[ 'ketama,prefix', { ketama => 1, prefix => 'prefix:' } ],
	[ 'ketama,prefix,master', { ketama => 1, prefix => 'prefix:', master => 'master' } ],
);

sub measure {
	my ($way, $protocol, $kind_name, $kind, $cache) = @_;
	my $master = $kind->{master};
	my %expected = map { my $key = "$way-$protocol-$kind_name-$_"; $key => "value of $key" } 1 .. KEYS;
	for (keys %expected) {
		$master ? memcached_set_by_key($cache, $master, $_, $expected{$_})
			: memcached_set($cache, $_, $expected{$_});
	}
	my $before = gets_of_both();
	for (1 .. ROUNDS) {
		$cache = open_cache($kind, $protocol eq 'binary') if $kind->{new};
		my $values = $ways{$way}->($cache, $master, sort keys %expected);
		for (keys %expected) {
			die "$way, $protocol, $kind_name: not what was stored"
				if keys %$values != KEYS || ($values->{$_} // '') ne $expected{$_};
		}
	}
	my $share = 100 * (1 - (gets_of_both() - $before) / (KEYS * ROUNDS));
	printf "%5.1f %s %s %s\n", $share, $way, $protocol, $kind_name;
}

for (@kinds) {
	my ($kind_name, $kind) = @$_;
	for my $protocol ('text', 'binary') {
		my $cache = open_cache($kind, $protocol eq 'binary');
		for my $way (sort keys %ways) {
			next if $kind->{master} && grep { $_ eq $way } @without_master;
			measure($way, $protocol, $kind_name, $kind, $cache);
		}
	}
}
