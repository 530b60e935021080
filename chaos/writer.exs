defmodule Chaos.Writer do
  # Writes one lane, and notes in the ledger what has to be there. Killed at any moment, it is followed by
  # another, who finds out whether what was under way has happened.

  alias Chaos.{Findings, Gate, Junk, Ledger, Model, Operation, Owner, Tally}

  def child_spec({table, lane, seed}) do
    %{id: lane, start: {__MODULE__, :start_link, [table, lane, seed]}}
  end

  def start_link(table, lane, seed), do: {:ok, spawn_link(fn -> init(table, lane, seed) end)}

  defp init(table, lane, seed) do
    writer = Ledger.new_writer(lane)
    :rand.seed(:exsss, {seed, :erlang.phash2(lane), writer})
    write(open(%{table: table, lane: lane, writer: writer, reference: nil}, :maybe), 0)
  end

  # Through the owner, whoever writes: it is there again, then. The operation that was under way has
  # `:happened`, or nobody knows.
  defp open(state, happened) do
    %{table: table, lane: lane, writer: writer} = state

    case Owner.call(table.owner, {:open, table.id, lane, writer}) do
      {:ok, reference, objects} ->
        settle(state, happened, Model.read(table, objects))
        %{state | reference: reference}

      :failed ->
        Process.sleep(:rand.uniform(5))
        open(state, happened)
    end
  end

  defp settle(%{table: table, lane: lane}, happened, {:ok, found}) do
    {version, contents, operation} = Ledger.lane(lane)
    if operation != nil and happened == :maybe, do: Tally.add(:writes_unanswered)

    unless possible?(table.type, contents, operation, happened, found) do
      Findings.add("lost or there twice", %{
        table: table,
        lane: lane,
        operation: {operation, happened},
        differs: difference(contents, found)
      })
    end

    Ledger.settle(lane, version + Operation.numbers(operation), found)
  end

  defp settle(state, _happened, damaged), do: Findings.add("damaged", {state.table, damaged})

  defp possible?(_type, contents, nil, _happened, found), do: found == contents

  defp possible?(type, contents, operation, :happened, found),
    do: found == elem(Model.run(type, contents, operation), 1)

  defp possible?(type, contents, operation, :maybe, found),
    do: Model.possible?(type, contents, operation, found)

  @doc "What is wanted and found of the keys in which two contents differ."
  def difference(wanted, found) do
    for key <- Map.keys(Map.merge(wanted, found)), wanted[key] != found[key], into: %{} do
      {key, {wanted[key], found[key]}}
    end
  end

  defp write(state, 0) do
    Gate.pass()
    Junk.flush()
    Process.sleep(:rand.uniform(500))
    write(state, :rand.uniform(6))
  end

  defp write(%{table: table, lane: lane} = state, left) do
    {version, contents, nil} = Ledger.lane(lane)
    operation = Operation.random(table, contents, number(version))
    {answer, after_it} = Model.run(table.type, contents, operation)
    Ledger.begin(lane, version, contents, operation)

    write(after_operation(state, operation, after_it, answer, run(state, operation)), left - 1)
  end

  # An heir that was killed with the owner cannot know why that one exited, and the table stays.
  defp after_operation(state, :leave, _contents, _answer, _answered), do: open(state, :maybe)

  defp after_operation(state, operation, contents, answer, {:ok, answer}) do
    Tally.add(:writes)

    if Operation.of_owner?(operation) do
      open(state, :happened)
    else
      {version, _, ^operation} = Ledger.lane(state.lane)
      Ledger.settle(state.lane, version + Operation.numbers(operation), contents)
      state
    end
  end

  defp after_operation(state, operation, _contents, answer, {:ok, other}) do
    Findings.add("answered", {state.table, operation, %{wanted: answer, got: other}})
    open(state, :maybe)
  end

  defp after_operation(state, _operation, _contents, _answer, :failed), do: open(state, :maybe)

  # Numbers go up with the versions: what was overwritten never looks like what is there now.
  defp number(version), do: version + 1

  # What is public is written directly, but for every third time.
  defp run(%{table: table, lane: lane} = state, operation) do
    direct? = table.protection == :public and :rand.uniform(3) > 1

    if direct? and not Operation.of_owner?(operation),
      do: run_directly(state, operation),
      else: Owner.call(table.owner, {:run, table.id, lane, state.writer, operation})
  end

  defp run_directly(%{table: table} = state, operation) do
    if Operation.long?(operation) and :rand.uniform(2) == 1, do: kill_within_milliseconds()
    {:ok, Operation.run(state.reference, table, state.lane, operation)}
  rescue
    error in ArgumentError ->
      # A transient table goes when its owner exits :normal.
      unless table.mortal?, do: Findings.add("failed", {table, operation, error})
      :failed
  end

  # A list insert that yields is over before a killer of all comes by.
  defp kill_within_milliseconds do
    writer = self()
    life = :rand.uniform(8)
    spawn(fn -> Process.sleep(life) && Process.exit(writer, :kill) end)
    Tally.add(:list_inserts_aimed_at)
  end
end
