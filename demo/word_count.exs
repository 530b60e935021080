# Counts the words of a text in a table whose owner is killed at random moments, and compares the
# counts with a plain count made without any crash: first with Blanket.Table, then with :ets.
#
# An object is {word, count, number of the last occurrence counted}. One update_counter changes
# both numbers or none, so after a call that did not return the next owner can be asked whether
# that very occurrence was counted. Only an occurrence that was not is counted again.

defmodule WordCount.Counter do
  @moduledoc "The part of the owner that is the same for both kinds of table."

  defmacro __using__(ets: ets) do
    quote do
      use GenServer

      def count(word, number) do
        GenServer.call(__MODULE__, {:count, word, number}, :infinity)
      catch
        :exit, _reason -> if counted?(word, number), do: :ok, else: count(word, number)
      end

      def counts, do: GenServer.call(__MODULE__, :counts, :infinity)

      defp counted?(word, number) do
        GenServer.call(__MODULE__, {:last, word}, :infinity) == number
      catch
        :exit, _reason ->
          Process.sleep(1)
          counted?(word, number)
      end

      @impl true
      def handle_call({:count, word, number}, _from, table) do
        # Adds 1 to the count; adds 0 to the last number, which is above -1 and so becomes `number`.
        unquote(ets).update_counter(table, word, [{2, 1}, {3, 0, -1, number}], {word, 0, 0})
        {:reply, :ok, table}
      end

      def handle_call({:last, word}, _from, table) do
        case unquote(ets).lookup(table, word) do
          [{^word, _count, last}] -> {:reply, last, table}
          [] -> {:reply, nil, table}
        end
      end

      def handle_call(:counts, _from, table) do
        counts =
          for {word, count, _last} <- unquote(ets).tab2list(table), into: %{}, do: {word, count}

        {:reply, counts, table}
      end
    end
  end
end

defmodule WordCount.Blanketed do
  use WordCount.Counter, ets: Blanket.Table
  use Blanket

  def start_link(killer) do
    {:ok, _heir} = Blanket.new(__MODULE__, __MODULE__, {:words, [:set, :private]})
    GenServer.start_link(__MODULE__, killer)
  end

  @impl true
  def init(killer) do
    Process.register(self(), __MODULE__)
    {:ok, table} = Blanket.receive_table()
    WordCount.Killer.ready(killer)
    {:ok, table}
  end

  def heir do
    case Registry.lookup(Blanket.Registry, {__MODULE__, __MODULE__, :words}) do
      [{heir, _value}] -> heir
      [] -> nil
    end
  end
end

defmodule WordCount.Plain do
  use WordCount.Counter, ets: :ets

  def start_link(killer), do: GenServer.start_link(__MODULE__, killer)

  @impl true
  def init(killer) do
    Process.register(self(), __MODULE__)
    table = :ets.new(:words, [:set, :private])
    WordCount.Killer.ready(killer)
    {:ok, table}
  end

  def heir, do: nil
end

defmodule WordCount.Killer do
  @moduledoc "Kills the owner, and now and then its heir, and notes how long the next owner took."

  def start_link(counter, kills, progress) do
    spawn_link(fn ->
      receive do
        {:ready, owner, _at} -> hunt(counter, owner, kills, progress, [])
      end
    end)
  end

  def ready(killer), do: send(killer, {:ready, self(), System.monotonic_time()})

  @doc "Waits for the last kill. Answers the hand-over times in microseconds."
  def times(killer) do
    send(killer, {:times, self()})

    receive do
      {:times, times} -> times
    end
  end

  defp hunt(_counter, _owner, 0, _progress, times) do
    receive do
      {:times, from} -> send(from, {:times, times})
    end
  end

  defp hunt(counter, owner, kills, progress, times) do
    Process.sleep(:rand.uniform(25) - 1)

    case :rand.uniform(20) do
      1 ->
        kill_heir(counter, progress)
        hunt(counter, owner, kills, progress, times)

      2 ->
        kill_heir(counter, progress)
        kill_and_await(counter, owner, kills, progress, times)

      3 when kills > 1 ->
        kill(owner, progress)
        kill_and_await(counter, next_owner(counter, owner), kills - 1, progress, times)

      _ ->
        kill_and_await(counter, owner, kills, progress, times)
    end
  end

  defp kill_and_await(counter, owner, kills, progress, times) do
    killed_at = System.monotonic_time()
    kill(owner, progress)
    {next, ready_at} = await_ready(owner)
    time = System.convert_time_unit(ready_at - killed_at, :native, :microsecond)
    hunt(counter, next, kills - 1, progress, [time | times])
  end

  defp kill(owner, progress) do
    Process.exit(owner, :kill)
    :counters.add(progress, 1, 1)
  end

  defp kill_heir(counter, progress) do
    if heir = counter.heir() do
      Process.exit(heir, :kill)
      :counters.add(progress, 2, 1)
    end
  end

  # In the order of arrival: an owner killed while it received its table may have become ready.
  defp await_ready(killed) do
    receive do
      {:ready, ^killed, _at} -> await_ready(killed)
      {:ready, owner, at} -> {owner, at}
    after
      30_000 -> exit("no new owner within 30 s")
    end
  end

  defp next_owner(counter, owner) do
    case Process.whereis(counter) do
      next when next in [nil, owner] -> next_owner(counter, owner)
      next -> next
    end
  end
end

defmodule WordCount do
  @kills 400

  def main([file]) do
    :logger.set_primary_config(:level, :none)
    words = words(file)
    if words == [], do: fail("there are no words in #{file}")

    IO.puts("""
    Counting #{number(length(words))} words of #{file}, over and over: each word is a call
    to a GenServer, which makes one update_counter on its :private table. All the while the
    GenServer is killed at random moments, and now and then its heir.
    """)

    blanket = run(WordCount.Blanketed, words)
    plain = run(WordCount.Plain, words)

    IO.puts("Blanket.Table")
    report(blanket)
    IO.puts("\n:ets")
    report(plain)

    if lost(blanket) != [] or blanket.kills < 300, do: fail("Blanket.Table lost counts")
  end

  defp words(file) do
    text = File.read!(file)
    text = if String.valid?(text), do: text, else: :unicode.characters_to_binary(text, :latin1)
    Regex.scan(~r/\p{L}+/u, String.downcase(text)) |> List.flatten()
  end

  defp run(counter, words) do
    progress = :counters.new(2, [])
    killer = WordCount.Killer.start_link(counter, @kills, progress)
    children = [%{id: counter, start: {counter, :start_link, [killer]}}]

    {:ok, supervisor} =
      Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 1_000_000)

    counted = count(counter, words, length(words), progress, 0)
    times = WordCount.Killer.times(killer)
    counts = counter.counts()
    Supervisor.stop(supervisor)
    passes = div(counted, length(words))

    %{
      counted: counted,
      passes: passes,
      kills: :counters.get(progress, 1),
      heir_kills: :counters.get(progress, 2),
      times: Enum.sort(times),
      counts: counts,
      expected: Map.new(Enum.frequencies(words), fn {word, count} -> {word, count * passes} end)
    }
  end

  # Whole passes over the text, as many as it takes for all the kills.
  defp count(counter, words, length, progress, counted) do
    counted =
      Enum.reduce(words, counted, fn word, counted ->
        :ok = counter.count(word, counted + 1)
        if rem(counted, 10_000) == 0, do: show(counter, progress, counted, length)
        counted + 1
      end)

    if :counters.get(progress, 1) < @kills do
      count(counter, words, length, progress, counted)
    else
      show(counter, progress, counted, length)
      if IO.ANSI.enabled?(), do: IO.write("\r\e[K")
      counted
    end
  end

  # Redraws one line on a terminal; elsewhere a line for every 100 kills.
  defp show(counter, progress, counted, length) do
    kills = :counters.get(progress, 1)
    heirs = :counters.get(progress, 2)
    done = min(kills / @kills, counted / length) |> min(1.0)
    filled = trunc(done * 30)
    bar = String.duplicate("#", filled) <> String.duplicate(".", 30 - filled)

    line =
      "#{inspect(counter)} [#{bar}] #{kills} owners and #{heirs} heirs killed, " <>
        "#{number(counted)} words"

    if IO.ANSI.enabled?() do
      IO.write("\r" <> line <> "\e[K")
    else
      if Process.put(counter, div(kills, 100)) != div(kills, 100), do: IO.puts(line)
    end
  end

  defp report(run) do
    lost = lost(run)
    occurrences = lost |> Enum.map(fn {_word, missing} -> abs(missing) end) |> Enum.sum()
    worst = List.last(run.times)

    IO.puts("""
      words counted           #{number(run.counted)} (#{run.passes} times the text)
      killed                  #{run.kills} owners, #{run.heir_kills} heirs
      next owner ready after  #{milliseconds(median(run.times))} (median), \
    #{milliseconds(percentile(run.times, 99))} (99th percentile), #{milliseconds(worst)} (worst)
      counts                  #{verdict(length(lost), map_size(run.expected), occurrences, run.counted)}\
    """)
  end

  defp verdict(0, words, _occurrences, _counted),
    do: "all #{number(words)} equal those of a plain count"

  defp verdict(different, words, occurrences, counted) do
    percent = Float.round(100 * occurrences / counted, 1)

    "#{number(different)} of #{number(words)} differ from a plain count: " <>
      "#{number(occurrences)} of the words counted (#{percent} %) are lost"
  end

  # The words whose count is not the expected one, with what is missing; words that should not be
  # there at all included.
  defp lost(run) do
    for {word, _} <- Map.merge(run.expected, run.counts),
        missing = Map.get(run.expected, word, 0) - Map.get(run.counts, word, 0),
        missing != 0,
        do: {word, missing}
  end

  defp median(sorted), do: percentile(sorted, 50)

  defp percentile(sorted, percent),
    do: Enum.at(sorted, ceil(length(sorted) * percent / 100) - 1)

  defp milliseconds(microseconds), do: :io_lib.format("~.2f ms", [microseconds / 1000])

  defp number(integer) do
    integer |> Integer.to_string() |> String.replace(~r/\B(?=(\d{3})+$)/, ",")
  end

  defp fail(message) do
    IO.puts(:stderr, "demo: " <> message)
    exit({:shutdown, 1})
  end
end

WordCount.main(System.argv())
