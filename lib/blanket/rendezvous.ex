defmodule Blanket.Rendezvous do
  @moduledoc false

  # Where owners and heirs find each other, whoever comes first: a process that waits for a table
  # notes itself here and then tells the heirs; an heir whose table has lost its owner looks here. The
  # table is immortal, so those who wait through a restart of the application are not forgotten.
  #
  #     {pid, alias, wanted}     a process that waits, and where it takes offers
  #     {{:heir, pid}, ref}      what the heir is, or was, the heir of
  #     {{:heirs, ref}, pids}    the heirs since the last hand-over, newest first

  alias Blanket.{Native, Table}

  # Without it, an exception in wait/2 leaves a note behind that the VM has made with the alias, of where
  # in the mailbox a message to it can come first: a VM whose process has such notes can crash.
  @compile :no_recv_opt

  @predecessors 16

  @type wanted :: :any | :start | {:name, term} | {:ref, term}

  @doc """
  Creates the table, unless an earlier run of the application, or an earlier caller, did.
  """
  @spec open() :: :ok
  def open do
    unless open?() do
      # A public table that nobody owns: it must not matter who created it.
      Table.new(__MODULE__, [:named_table, :public, {:heir, :immortal}])
    end

    :ok
  rescue
    # Somebody else did at this moment.
    ArgumentError -> :ok
  end

  @spec open?() :: boolean
  def open?, do: Table.whereis(__MODULE__) != :undefined

  @doc """
  Runs `wait` with an alias to which others may send what this process waits for.

  Nothing that comes too late stays in the mailbox.
  """
  @spec wait(wanted, (reference -> result)) :: result when result: term
  def wait(wanted, wait) do
    open()
    alias = :erlang.alias()
    Table.insert(__MODULE__, {self(), alias, wanted})
    forget_dead_after(self())

    try do
      wait.(alias)
    after
      Table.delete(__MODULE__, self())
      :erlang.unalias(alias)
      flush(alias)
    end
  end

  @doc """
  Finds where `pid` takes offers, and for what.
  """
  @spec find(pid) :: {reference, wanted} | nil
  def find(pid) do
    case Table.lookup(__MODULE__, pid) do
      [{_pid, alias, wanted}] -> {alias, wanted}
      [] -> nil
    end
  end

  @doc """
  Tells those who wait for the application that it has started.
  """
  @spec announce_start() :: :ok
  def announce_start do
    for {pid, alias, :start} when is_pid(pid) <- Table.tab2list(__MODULE__) do
      :erlang.send(alias, {alias, :started})
    end

    :ok
  end

  @doc """
  Notes the calling process as the heir of what is kept as `ref`. Answers those before it.
  """
  @spec enter_heir(term) :: [pid]
  def enter_heir(ref) do
    predecessors = heirs(ref)
    {kept, forgotten} = Enum.split([self() | predecessors], @predecessors)
    Table.insert(__MODULE__, [{{:heir, self()}, ref}, {{:heirs, ref}, kept}])
    forget_heirs(forgotten)
    predecessors
  end

  @doc """
  Forgets all heirs of `ref` but the calling process.
  """
  @spec forget_predecessors(term) :: :ok
  def forget_predecessors(ref) do
    case heirs(ref) do
      [heir] when heir == self() ->
        :ok

      heirs ->
        Table.insert(__MODULE__, {{:heirs, ref}, [self()]})
        forget_heirs(heirs -- [self()])
    end
  end

  @doc """
  Forgets all heirs of `ref`.
  """
  @spec forget_heirs_of(term) :: :ok
  def forget_heirs_of(ref) do
    forget_heirs(heirs(ref))
    Table.delete(__MODULE__, {:heirs, ref})
    :ok
  end

  @doc """
  Forgets the heirs of what is kept no longer, whose tables were deleted when there was no heir.
  """
  @spec forget_heirs_of_lost() :: :ok
  def forget_heirs_of_lost do
    for {{:heirs, ref}, pids} = row <- Table.tab2list(__MODULE__), Native.kept(ref) == nil do
      forget_heirs(pids)
      # If it is kept again by now, its new heir has replaced this row.
      Table.delete_object(__MODULE__, row)
    end

    :ok
  end

  @doc """
  What `heir` is the heir of, or was before it died.
  """
  @spec ref_of_heir(pid) :: {:ok, term} | :error
  def ref_of_heir(heir) do
    case lookup({:heir, heir}) do
      [{_heir, ref}] -> {:ok, ref}
      [] -> :error
    end
  end

  defp heirs(ref) do
    case lookup({:heirs, ref}) do
      [{_ref, pids}] -> pids
      [] -> []
    end
  end

  # There is no table before the application has started for the first time.
  defp lookup(key) do
    Table.lookup(__MODULE__, key)
  rescue
    ArgumentError -> []
  end

  defp forget_heirs(pids) do
    for pid <- pids, do: Table.delete(__MODULE__, {:heir, pid})
    :ok
  end

  # A process that is killed while it waits leaves its row behind. Each that comes takes away those
  # that stand next to its own, so that there are never many more than there are other rows.
  defp forget_dead_after(row) do
    pid = Table.next(__MODULE__, row)

    if is_pid(pid) and not Process.alive?(pid) do
      Table.delete(__MODULE__, pid)
      forget_dead_after(row)
    end
  end

  defp flush(alias) do
    receive do
      message when elem(message, 0) == alias -> flush(alias)
    after
      0 -> :ok
    end
  end
end
