# What Perl programs do with Memcached::libmemcached.  Argument: socket.
use strict;
use warnings;
use Memcached::libmemcached qw(/^memcached/ /^MEMCACHED/);

my $cache;

sub say_it {
	my ($what, @values) = @_;
	printf "%s: %s (%s)\n", $what, join(', ', map { $_ // 'undef' } @values),
		$cache->errstr // 'undef';
}

sub open_cache {
	my ($binary) = @_;
	my $new = Memcached::libmemcached->new;
	memcached_behavior_set($new, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, $binary);
	memcached_server_add_unix_socket($new, $ARGV[0]);
	return $new;
}

sub sorted {
	my ($values) = @_;
	return map { "$_=$values->{$_}" } sort keys %$values;
}

for my $binary (0, 1) {
	$cache = open_cache($binary);
	print $binary ? "-- binary\n" : "-- text\n";
	say_it('flush', $cache->memcached_flush(0));

	my %values = (text => 'value', empty => '', bytes => "\0\1\r\n\xff", long => 'long ' x 5000);
	for my $key (sort keys %values) {
		say_it("set $key", $cache->memcached_set($key, $values{$key}, 0, 0x80000007));
		for (1 .. 3) {
			my $value = $cache->memcached_get($key, my $flags, my $rc);
			say_it("get $key same", $value eq $values{$key} ? 'yes' : 'no', $flags, $rc);
		}
	}
	say_it('get missing', $cache->memcached_get('missing'));
	say_it('get a bad key', $cache->memcached_get('x' x 300));

	$cache->memcached_set("m$_", "value $_", 100) for 1 .. 3;
	for (1 .. 2) {
		say_it('get_multi', sorted($cache->get_multi('m3', 'none', 'm1', 'm2')));
		say_it('get_multi of nothing', sorted($cache->get_multi('none', 'nothing')));
		say_it('mget', memcached_mget($cache, ['m2', 'none', 'm3', 'm1']));
		while (defined(my $value = memcached_fetch($cache, my $key, my $flags, my $rc))) {
			say_it('fetch', $key, $value, $flags, $rc);
		}
	}
	say_it('mget', memcached_mget($cache, ['m2', 'm3', 'm1']));
	say_it('fetch one', memcached_fetch($cache, my $first));
	say_it('get in between', $cache->memcached_get('m1'));
	say_it('and fetch on', memcached_fetch($cache, my $second));

	my $counter = 0;
	say_it('set n', $cache->memcached_set('n', 10));
	say_it('increment', $cache->memcached_increment('n', 5, $counter), $counter);
	say_it('get n', $cache->memcached_get('n'));
	say_it('decrement', $cache->memcached_decrement('n', 100, $counter), $counter);
	say_it('get n', $cache->memcached_get('n'));
	if ($binary) {
		say_it('increment none', $cache->memcached_increment_with_initial('fresh', 1, 100, 0, $counter),
			$counter);
	} else {
		say_it('increment none', $cache->memcached_increment('fresh', 1, my $fresh));
	}
	say_it('get fresh', $cache->memcached_get('fresh'));

	say_it('add', $cache->memcached_add('s', 'middle'));
	say_it('add again', $cache->memcached_add('s', 'never'));
	say_it('append', $cache->memcached_append('s', ' end'));
	say_it('prepend', $cache->memcached_prepend('s', 'begin '));
	say_it('get', $cache->memcached_get('s'));
	say_it('replace', $cache->memcached_replace('s', 'replaced'));
	say_it('get', $cache->memcached_get('s'));
	say_it('delete', $cache->memcached_delete('s'));
	say_it('get', $cache->memcached_get('s'));
	say_it('delete', $cache->memcached_delete('s'));

	say_it('set by key', memcached_set_by_key($cache, 'master', 'k', 'by key'));
	say_it('get by key', memcached_get_by_key($cache, 'master', 'k')) for 1 .. 2;
	memcached_callback_set($cache, MEMCACHED_CALLBACK_PREFIX_KEY, 'prefix:');
	say_it('get with prefix', $cache->memcached_get('text'));
	say_it('set with prefix', $cache->memcached_set('text', 'prefixed'));
	say_it('get with prefix', $cache->memcached_get('text'));
	say_it('get_multi with prefix', sorted($cache->get_multi('text', 'none')));
	say_it('get without prefix', open_cache($binary)->memcached_get('text'));

	# Values pass through the program's own code, which may call anything.
	$cache->set_callback_coderefs(sub { $_ = "packed $_"; return },
		sub { s/^packed // or $_ = 'not packed'; return });
	say_it('set packed', $cache->memcached_set('packed', 'inner'));
	say_it('get packed', $cache->memcached_get('packed')) for 1 .. 2;
	say_it('get_multi packed', sorted($cache->get_multi('packed', 'text')));
	$cache->set_callback_coderefs(sub { return }, sub { return });
	say_it('get as stored', $cache->memcached_get('packed'));

	say_it('flush', $cache->memcached_flush(0));
	say_it('get', $cache->memcached_get('text'));
}
