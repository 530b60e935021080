defmodule Blanket.Test.Counter do
  @moduledoc false

  # An owner as users write one: it counts in a private table. Each start tells the parent who owns
  # the table now.

  use GenServer
  use Blanket

  alias Blanket.Table

  def name(prefix \\ "counter"),
    do: :"#{prefix}_#{System.unique_integer([:positive])}"

  @doc """
  Settings: `:owner`, and optionally `:module`, `:register`, `:opts` of `Blanket.new/4`.
  """
  def settings(settings \\ []) do
    owner = settings[:owner] || name()

    Map.merge(
      %{
        owner: owner,
        parent: self(),
        module: __MODULE__,
        table: {:counters, [:private]},
        opts: [],
        register: fn -> Process.register(self(), owner) end
      },
      Map.new(settings)
    )
  end

  def child_spec(settings) do
    %{id: settings.owner, start: {__MODULE__, :start_link, [settings]}}
  end

  def start_link(settings) do
    {:ok, _heir} = Blanket.new(settings.module, settings.owner, settings.table, settings.opts)
    GenServer.start_link(__MODULE__, settings)
  end

  def count(pid, key \\ :calls), do: GenServer.call(pid, {:count, key})

  @doc "Kills a process that may be linked to the caller, and waits until it is gone."
  def kill(pid) do
    Process.unlink(pid)
    stop(pid, :kill)
  end

  def stop(pid, reason) do
    monitor = Process.monitor(pid)
    if reason == :kill, do: Process.exit(pid, :kill), else: GenServer.cast(pid, {:stop, reason})

    receive do
      {:DOWN, ^monitor, :process, ^pid, _reason} -> :ok
    end
  end

  @impl true
  def init(settings) do
    settings.register.()
    {:ok, table} = Blanket.receive_table()
    send(settings.parent, {:received, settings.owner, self(), table})
    {:ok, table}
  end

  @impl true
  def handle_call({:count, key}, _from, table) do
    {:reply, Table.update_counter(table, key, 1, {key, 0}), table}
  end

  @impl true
  def handle_cast({:stop, reason}, table), do: {:stop, reason, table}
end
